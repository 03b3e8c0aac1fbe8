// Package otelredlock reports redlock's events as OpenTelemetry metrics and
// spans. It is a module of its own, so that users without OpenTelemetry do not
// depend on it.
//
// It does not see what the observer missed (redtick.events.missed counts
// that), and spans are recorded when an event is told, with the times at which
// it happened; they have no parent, because an event does not carry the
// caller's context.
//
// Metrics (attributes in brackets; "name" is the mutex's name and so must come
// from a small set; leave it out with [WithoutName] where names are many):
//
//	redtick.acquisitions    {acquisition} counter    [name, outcome]: acquired, done, taken, paused, no_quorum, stale, ahead, cancelled, closed, other
//	redtick.acquire.time    s             histogram  [outcome]
//	redtick.held.time       s             histogram  [name, end]: released, lost
//	redtick.held            {lease}       up-down    [name]
//	redtick.lost            {lease}       counter    [name]
//	redtick.runs            {run}         counter    [name, result]: ok, ended, failed, panicked, lost, abandoned
//	redtick.renewals        {renewal}     counter    [outcome]: renewed, failed
//	redtick.nodes.out       {node}        up-down    [node]
//	redtick.leader          {leader}      up-down    [name]
//	redtick.events.missed   {event}       counter
//
// Counters of failures are there, with 0, before there is a failure: those of a
// name from its first event on, the others from the start. So an increase from
// nothing to the first is one.
//
// Spans: "redtick acquire NAME" for every acquisition and refusal, "redtick
// hold NAME" for the time a lease was held; errors set their status.
package otelredlock

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/redtick/redtick/redlock"
)

const scope = "github.com/redtick/redtick/redlock/otelredlock"

// Option changes a default of [NewObserver].
type Option func(*observer)

// WithoutName leaves the mutex's name out of all metrics. Spans keep it.
func WithoutName() Option { return func(o *observer) { o.anonymous = true } }

type observer struct {
	anonymous                            bool
	tracer                               trace.Tracer
	acquisitions, renewals, lost, missed metric.Int64Counter
	runs                                 metric.Int64Counter
	held, out, leader                    metric.Int64UpDownCounter
	acquireTime, heldTime                metric.Float64Histogram

	known sync.Map // names that have their counters of failures
}

// NewObserver returns what [redlock.WithObserver] takes. Neither provider may
// be nil; OpenTelemetry's noop packages turn one off.
func NewObserver(meters metric.MeterProvider, tracers trace.TracerProvider, opts ...Option) (redlock.Observer, error) {
	if meters == nil || tracers == nil {
		return nil, errors.New("otelredlock: a provider is nil; use OpenTelemetry's noop provider to leave metrics or spans out")
	}
	o := &observer{tracer: tracers.Tracer(scope)}
	for _, opt := range opts {
		opt(o)
	}
	if err := o.instruments(meters.Meter(scope)); err != nil {
		return nil, err
	}
	for _, outcome := range []string{"renewed", "failed"} {
		o.renewals.Add(context.Background(), 0, metric.WithAttributes(attribute.String("outcome", outcome)))
	}
	o.missed.Add(context.Background(), 0)
	return o.observe, nil
}

func (o *observer) instruments(m metric.Meter) error {
	var errs [10]error
	o.acquisitions, errs[0] = m.Int64Counter("redtick.acquisitions", metric.WithUnit("{acquisition}"), metric.WithDescription("Locks and claims asked for, by outcome."))
	o.renewals, errs[1] = m.Int64Counter("redtick.renewals", metric.WithUnit("{renewal}"), metric.WithDescription("Renewals of leases, by outcome."))
	o.missed, errs[2] = m.Int64Counter("redtick.events.missed", metric.WithUnit("{event}"), metric.WithDescription("Events thrown away because the observer was too slow."))
	o.held, errs[3] = m.Int64UpDownCounter("redtick.held", metric.WithUnit("{lease}"), metric.WithDescription("Leases held by this process."))
	o.out, errs[4] = m.Int64UpDownCounter("redtick.nodes.out", metric.WithUnit("{node}"), metric.WithDescription("Nodes that this process skips because they do not answer."))
	o.leader, errs[5] = m.Int64UpDownCounter("redtick.leader", metric.WithUnit("{leader}"), metric.WithDescription("1 while this process leads."))
	o.acquireTime, errs[6] = m.Float64Histogram("redtick.acquire.time", metric.WithUnit("s"), metric.WithDescription("How long an acquisition or refusal took."),
		metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5))
	o.heldTime, errs[7] = m.Float64Histogram("redtick.held.time", metric.WithUnit("s"), metric.WithDescription("How long a lease was held."),
		metric.WithExplicitBucketBoundaries(0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 6*3600, 24*3600))
	o.lost, errs[8] = m.Int64Counter("redtick.lost", metric.WithUnit("{lease}"), metric.WithDescription("Leases that ended before they were given back."))
	o.runs, errs[9] = m.Int64Counter("redtick.runs", metric.WithUnit("{run}"), metric.WithDescription("Runs of claims that came to their end, by result."))
	return errors.Join(errs[:]...)
}

// introduce makes the counters of a name's failures.
func (o *observer) introduce(ctx context.Context, name []attribute.KeyValue, e redlock.Event) {
	key := e.Name
	if o.anonymous {
		key = ""
	}
	if _, known := o.known.LoadOrStore(key, true); known {
		return
	}
	o.lost.Add(ctx, 0, metric.WithAttributes(name...))
	for _, result := range []string{"failed", "panicked", "lost"} {
		o.runs.Add(ctx, 0, metric.WithAttributes(append(name, attribute.String("result", result))...))
	}
	for _, outcome := range []string{"no_quorum", "stale", "ahead"} {
		o.acquisitions.Add(ctx, 0, metric.WithAttributes(append(name, attribute.String("outcome", outcome))...))
	}
}

func (o *observer) observe(e redlock.Event) {
	ctx := context.Background()
	name := o.name(e)
	switch e.Kind {
	case redlock.Acquired, redlock.Refused:
		o.introduce(ctx, name, e)
		result := attribute.String("outcome", outcome(e))
		o.acquisitions.Add(ctx, 1, metric.WithAttributes(append(name, result)...))
		o.acquireTime.Record(ctx, e.Duration.Seconds(), metric.WithAttributes(result))
		o.span(ctx, "redtick acquire "+e.Name, e)
		if e.Kind == redlock.Acquired {
			o.held.Add(ctx, 1, metric.WithAttributes(name...))
		}
	case redlock.Released, redlock.Lost:
		o.held.Add(ctx, -1, metric.WithAttributes(name...))
		if e.Kind == redlock.Lost {
			o.lost.Add(ctx, 1, metric.WithAttributes(name...))
		}
		end := attribute.String("end", string(e.Kind))
		o.heldTime.Record(ctx, e.Duration.Seconds(), metric.WithAttributes(append(name, end)...))
		o.span(ctx, "redtick hold "+e.Name, e)
	case redlock.Ended:
		o.runs.Add(ctx, 1, metric.WithAttributes(append(name, attribute.String("result", e.Result))...))
	case redlock.Renewed, redlock.RenewFailed:
		result := map[redlock.EventKind]string{redlock.Renewed: "renewed", redlock.RenewFailed: "failed"}[e.Kind]
		o.renewals.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", result)))
	case redlock.NodeOut, redlock.NodeBack:
		change := map[redlock.EventKind]int64{redlock.NodeOut: 1, redlock.NodeBack: -1}[e.Kind]
		o.out.Add(ctx, change, metric.WithAttributes(attribute.String("node", e.Node)))
	case redlock.Elected, redlock.SteppedDown:
		change := map[redlock.EventKind]int64{redlock.Elected: 1, redlock.SteppedDown: -1}[e.Kind]
		o.leader.Add(ctx, change, metric.WithAttributes(name...))
	}
	o.missed.Add(ctx, int64(e.Missed))
}

func (o *observer) name(e redlock.Event) []attribute.KeyValue {
	if o.anonymous {
		return nil
	}
	return []attribute.KeyValue{attribute.String("name", e.Name)}
}

// span records what is over by now, with its own times.
func (o *observer) span(ctx context.Context, title string, e redlock.Event) {
	attrs := []attribute.KeyValue{attribute.String("redtick.name", e.Name), attribute.String("redtick.holder", redlock.HolderOf(e.Token))}
	if !e.Tick.IsZero() {
		attrs = append(attrs, attribute.String("redtick.tick", e.Tick.UTC().Format(time.RFC3339Nano)))
	}
	if e.Holder != "" {
		attrs = append(attrs, attribute.String("redtick.ahead", redlock.HolderOf(e.Holder)))
	}
	_, span := o.tracer.Start(ctx, title, trace.WithTimestamp(e.At.Add(-e.Duration)), trace.WithAttributes(attrs...))
	if e.Err != nil {
		span.RecordError(e.Err, trace.WithTimestamp(e.At))
		if r := outcome(e); r != "done" && r != "taken" && r != "paused" {
			span.SetStatus(codes.Error, e.Err.Error())
		}
	}
	span.End(trace.WithTimestamp(e.At))
}

// outcome is a short word for what came of an acquisition.
func outcome(e redlock.Event) string {
	switch {
	case e.Err == nil, e.Kind == redlock.Acquired:
		return "acquired"
	case errors.Is(e.Err, redlock.ErrNoQuorum) && e.Level() < slog.LevelError:
		return "later"
	}
	for _, o := range []struct {
		err  error
		word string
	}{
		{context.Canceled, "cancelled"}, {context.DeadlineExceeded, "cancelled"}, {redlock.ErrTickDone, "done"}, {redlock.ErrTaken, "taken"}, {redlock.ErrPaused, "paused"},
		{redlock.ErrNoQuorum, "no_quorum"}, {redlock.ErrTickStale, "stale"}, {redlock.ErrClockSkew, "ahead"}, {redlock.ErrClosed, "closed"},
	} {
		if errors.Is(e.Err, o.err) {
			return o.word
		}
	}
	return "other"
}
