// Package otelredlock reports redlock's events as OpenTelemetry metrics and
// spans. It is a separate module, so that users without OpenTelemetry do not
// depend on it.
//
// The observer's spans have the times of their event but no parent, because an
// event does not carry the caller's context. [Traced] makes spans of runs with a
// parent.
//
// These are the metrics, with their attributes in brackets (each with the prefix
// "redtick."). The name is the mutex's or the job's; leave it out with
// [WithoutName] if there are many names.
//
//	redtick.acquisitions      {acquisition} counter    [name, outcome]: acquired, done, taken, paused, later, no_quorum, stale, ahead, cancelled, closed, other
//	redtick.acquire.duration  s             histogram  [outcome]
//	redtick.hold.duration     s             histogram  [name, end]: released, lost
//	redtick.held              {lease}       up-down    [name]
//	redtick.lost              {lease}       counter    [name]
//	redtick.runs              {run}         counter    [name, result]: ok, ended, failed, panicked, lost, abandoned
//	redtick.run.duration      s             histogram  [name, result]: ok, ended, failed, panicked, lost, abandoned
//	redtick.run.lateness      s             histogram  [name]
//	redtick.run.last          s             gauge      [name]
//	redtick.renewals          {renewal}     counter    [outcome]: renewed, failed
//	redtick.nodes.out         {node}        up-down    [node]
//	redtick.leader            {leader}      up-down    [name]
//	redtick.events.missed     {event}       counter
//
// redtick.events.missed counts events dropped because the observer was too slow.
// redtick.run.last is when a run of the job last ended in this process, in Unix
// seconds. Its maximum over all processes, including former ones, shows that a
// schedule has stopped, which no counter does: see docs/prometheus.rules.yaml.
//
// Counters of failures and of paused claims are reported as 0 before they first
// increase: those of a name from its first event, the others from the start. So the
// first failure counts as an increase.
//
// The spans are "redtick acquire" for every acquisition and refusal, and "redtick
// hold" for the time a lease was held. The name is an attribute, and an error sets
// the status, except for expected outcomes such as taken.
package otelredlock

import (
	"context"
	"errors"
	"fmt"
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
	runTime, lateness                    metric.Float64Histogram
	lastRun                              metric.Float64Gauge

	known sync.Map // names that have their counters of failures
}

// NewObserver returns an observer for [redlock.WithObserver]. Neither provider may
// be nil; to leave metrics or spans out, pass OpenTelemetry's noop provider.
func NewObserver(meters metric.MeterProvider, tracers trace.TracerProvider, opts ...Option) (redlock.Observer, error) {
	if meters == nil || tracers == nil {
		return nil, errors.New("otelredlock: a provider is nil; use OpenTelemetry's noop provider to leave metrics or spans out")
	}
	o := &observer{tracer: tracers.Tracer(scope)}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("otelredlock: option %d is nil; leave it out", i+1)
		}
		opt(o)
	}
	if err := o.instruments(meters.Meter(scope)); err != nil {
		return nil, err
	}
	for _, outcome := range []string{"renewed", "failed"} {
		o.renewals.Add(context.Background(), 0, metric.WithAttributes(attribute.String("redtick.outcome", outcome)))
	}
	o.missed.Add(context.Background(), 0)
	return o.observe, nil
}

func (o *observer) instruments(m metric.Meter) error {
	var errs [13]error
	short := metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
	long := metric.WithExplicitBucketBoundaries(0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 6*3600, 24*3600)
	late := metric.WithExplicitBucketBoundaries(0.001, 0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900)
	o.acquisitions, errs[0] = m.Int64Counter("redtick.acquisitions", metric.WithUnit("{acquisition}"), metric.WithDescription("Acquisitions of locks and claims, by outcome."))
	o.renewals, errs[1] = m.Int64Counter("redtick.renewals", metric.WithUnit("{renewal}"), metric.WithDescription("Renewals of leases, by outcome."))
	o.missed, errs[2] = m.Int64Counter("redtick.events.missed", metric.WithUnit("{event}"), metric.WithDescription("Events dropped because the observer was too slow."))
	o.held, errs[3] = m.Int64UpDownCounter("redtick.held", metric.WithUnit("{lease}"), metric.WithDescription("Leases held by this process."))
	o.out, errs[4] = m.Int64UpDownCounter("redtick.nodes.out", metric.WithUnit("{node}"), metric.WithDescription("Nodes that this process skips because they do not answer."))
	o.leader, errs[5] = m.Int64UpDownCounter("redtick.leader", metric.WithUnit("{leader}"), metric.WithDescription("1 while this process leads."))
	o.acquireTime, errs[6] = m.Float64Histogram("redtick.acquire.duration", metric.WithUnit("s"), metric.WithDescription("How long an acquisition or refusal took."), short)
	o.heldTime, errs[7] = m.Float64Histogram("redtick.hold.duration", metric.WithUnit("s"), metric.WithDescription("How long a lease was held."), long)
	o.lost, errs[8] = m.Int64Counter("redtick.lost", metric.WithUnit("{lease}"), metric.WithDescription("Leases that ended before they were released."))
	o.runs, errs[9] = m.Int64Counter("redtick.runs", metric.WithUnit("{run}"), metric.WithDescription("Runs of claims that ended, by result."))
	o.runTime, errs[10] = m.Float64Histogram("redtick.run.duration", metric.WithUnit("s"), metric.WithDescription("How long a run took, by result."), long)
	o.lateness, errs[11] = m.Float64Histogram("redtick.run.lateness", metric.WithUnit("s"), metric.WithDescription("How long after its tick a run began, by this process's clock."), late)
	o.lastRun, errs[12] = m.Float64Gauge("redtick.run.last", metric.WithUnit("s"), metric.WithDescription("When a run last ended in this process, in Unix seconds."))
	return errors.Join(errs[:]...)
}

// introduce sets a name's counters of failures to 0 at its first event.
func (o *observer) introduce(ctx context.Context, name []attribute.KeyValue, e redlock.Event) {
	key := e.Name
	if o.anonymous {
		key = ""
	}
	if _, known := o.known.LoadOrStore(key, true); known {
		return
	}
	o.lost.Add(ctx, 0, metric.WithAttributes(name...))
	for _, result := range []string{"ok", "failed", "panicked", "lost", "abandoned"} {
		o.runs.Add(ctx, 0, metric.WithAttributes(append(name, attribute.String("redtick.result", result))...))
	}
	for _, outcome := range []string{"no_quorum", "stale", "ahead", "paused"} {
		o.acquisitions.Add(ctx, 0, metric.WithAttributes(append(name, attribute.String("redtick.outcome", outcome))...))
	}
}

func (o *observer) observe(e redlock.Event) {
	ctx := context.Background()
	name := o.name(e)
	switch e.Kind {
	case redlock.Acquired, redlock.Refused:
		o.introduce(ctx, name, e)
		result := attribute.String("redtick.outcome", outcome(e))
		o.acquisitions.Add(ctx, 1, metric.WithAttributes(append(name, result)...))
		o.acquireTime.Record(ctx, e.Duration.Seconds(), metric.WithAttributes(result))
		o.span(ctx, "redtick acquire", e)
		if e.Kind == redlock.Acquired {
			o.held.Add(ctx, 1, metric.WithAttributes(name...))
		}
	case redlock.Released, redlock.Lost:
		o.held.Add(ctx, -1, metric.WithAttributes(name...))
		if e.Kind == redlock.Lost {
			o.lost.Add(ctx, 1, metric.WithAttributes(name...))
		}
		end := attribute.String("redtick.end", string(e.Kind))
		o.heldTime.Record(ctx, e.Duration.Seconds(), metric.WithAttributes(append(name, end)...))
		o.span(ctx, "redtick hold", e)
	case redlock.Ended:
		o.ended(ctx, name, e)
	case redlock.Renewed, redlock.RenewFailed:
		result := map[redlock.EventKind]string{redlock.Renewed: "renewed", redlock.RenewFailed: "failed"}[e.Kind]
		o.renewals.Add(ctx, 1, metric.WithAttributes(attribute.String("redtick.outcome", result)))
	case redlock.NodeOut, redlock.NodeBack:
		change := map[redlock.EventKind]int64{redlock.NodeOut: 1, redlock.NodeBack: -1}[e.Kind]
		o.out.Add(ctx, change, metric.WithAttributes(attribute.String("redtick.node", e.Node)))
	case redlock.Elected, redlock.SteppedDown:
		change := map[redlock.EventKind]int64{redlock.Elected: 1, redlock.SteppedDown: -1}[e.Kind]
		o.leader.Add(ctx, change, metric.WithAttributes(name...))
	}
	o.missed.Add(ctx, int64(e.Missed))
}

func (o *observer) ended(ctx context.Context, name []attribute.KeyValue, e redlock.Event) {
	result := metric.WithAttributes(append(name, attribute.String("redtick.result", e.Result))...)
	o.runs.Add(ctx, 1, result)
	o.runTime.Record(ctx, e.Duration.Seconds(), result)
	o.lateness.Record(ctx, max(0, e.At.Add(-e.Duration).Sub(e.Tick).Seconds()), metric.WithAttributes(name...))
	o.lastRun.Record(ctx, float64(e.At.UnixMilli())/1000, metric.WithAttributes(name...))
}

func (o *observer) name(e redlock.Event) []attribute.KeyValue {
	if o.anonymous {
		return nil
	}
	return []attribute.KeyValue{attribute.String("redtick.name", e.Name)}
}

// span records an event that has ended, with its own times.
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
		if !harmless[outcome(e)] {
			span.SetStatus(codes.Error, e.Err.Error())
		}
	}
	span.End(trace.WithTimestamp(e.At))
}

// harmless lists the outcomes that need no attention. "acquired" is among them because a late acquisition carries the
// error of its first refusal.
var harmless = map[string]bool{"acquired": true, "done": true, "taken": true, "paused": true, "later": true}

// outcome returns the value of the outcome attribute for an acquisition or refusal.
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
