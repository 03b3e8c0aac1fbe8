package otelredlock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/otelredlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// The metrics and spans of a lease, a refusal and a finished claim, and the zeros of
// counters of failures.
//
// Seen to fail when a name is not introduced, and without the zeros at the start.
func TestNewObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, spans := metric.NewManualReader(), tracetest.NewInMemoryExporter()
		observer, err := otelredlock.NewObserver(metric.NewMeterProvider(metric.WithReader(reader)), trace.NewTracerProvider(trace.WithSyncer(spans)))
		if err != nil {
			t.Fatal(err)
		}
		locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(3), "a"), redlock.WithObserver(observer))
		if err != nil {
			t.Fatal(err)
		}
		m, _ := locker.NewMutex("job")
		job, _ := locker.NewJob("job")
		lease, _ := m.Lock(t.Context())
		time.Sleep(15 * time.Second)
		_, _ = m.TryLock(t.Context())
		_ = lease.Unlock(t.Context())
		_ = job.Run(t.Context(), time.Now().Add(-3*time.Second), func(context.Context) error {
			time.Sleep(2 * time.Second)
			return errors.New("no")
		})
		ended := time.Now()
		time.Sleep(time.Second)
		tick := time.Now()
		claim, _ := job.Claim(t.Context(), tick)
		time.Sleep(time.Second) // until it is confirmed
		_, _ = job.Claim(t.Context(), tick)
		synctest.Wait()

		got := collect(t, reader)
		for metric, want := range map[string]int64{
			"redtick.acquisitions acquired": 3, "redtick.acquisitions taken": 1, "redtick.acquisitions done": 1,
			"redtick.runs failed": 1, "redtick.runs panicked": 0, "redtick.runs ok": 0, "redtick.renewals renewed": 1, "redtick.held job": 1,
			"redtick.lost job": 0, "redtick.acquisitions no_quorum": 0, "redtick.acquisitions paused": 0, "redtick.runs abandoned": 0, "redtick.renewals failed": 0, "redtick.events.missed ": 0,
			"redtick.run.duration failed": 2, "redtick.run.lateness job": 3, "redtick.run.last job": ended.Unix(), "redtick.hold.duration job": 17,
		} {
			if value, there := got[metric]; !there || value != want {
				t.Errorf("%s is %d (there: %v), want %d; all: %v", metric, value, there, want, got)
			}
		}
		held := time.Duration(0)
		for _, s := range spans.GetSpans() {
			if s.Name == "redtick hold" && held == 0 {
				held = s.EndTime.Sub(s.StartTime)
			}
		}
		if n := len(spans.GetSpans()); n != 7 || held != 15*time.Second {
			t.Errorf("%d spans, want 7; held for %v, want 15s", n, held)
		}
		_ = claim.Unlock(t.Context())
		_ = locker.Close(t.Context())
	})
}

// points returns the data points of any kind of metric, as integers; for a histogram, its sum.
func points(data metricdata.Aggregation) (all []metricdata.DataPoint[int64]) {
	switch data := data.(type) {
	case metricdata.Sum[int64]:
		return data.DataPoints
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			all = append(all, metricdata.DataPoint[int64]{Attributes: p.Attributes, Value: int64(p.Value)})
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			all = append(all, metricdata.DataPoint[int64]{Attributes: p.Attributes, Value: int64(p.Sum)})
		}
	}
	return all
}

// collect sums values by metric and by their outcome, or else their name.
func collect(t *testing.T, reader *metric.ManualReader) map[string]int64 {
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			for _, p := range points(m.Data) {
				by, found := p.Attributes.Value("redtick.outcome")
				if !found {
					by, found = p.Attributes.Value("redtick.result")
				}
				if !found {
					by, _ = p.Attributes.Value("redtick.name")
				}
				sums[fmt.Sprintf("%s %s", m.Name, by.AsString())] += p.Value
			}
		}
	}
	return sums
}

// Without the check, the nil option panicked.
func TestNewObserver_refusals(t *testing.T) {
	meters, tracers := metric.NewMeterProvider(), trace.NewTracerProvider()
	for want, make := range map[string]func() (redlock.Observer, error){
		"a provider is nil": func() (redlock.Observer, error) { return otelredlock.NewObserver(meters, nil) },
		"option 1 is nil":   func() (redlock.Observer, error) { return otelredlock.NewObserver(meters, tracers, nil) },
	} {
		if _, err := make(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A run's span is a child of the caller's, and the parent of the work's.
//
// Seen to fail when f is given the caller's context, and without the status.
func TestTraced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewInMemoryExporter()
		tracers := trace.NewTracerProvider(trace.WithSyncer(spans))
		locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(3), "a"), redlock.WithHolder("a"), redlock.WithObserver(func(redlock.Event) {}))
		if err != nil {
			t.Fatal(err)
		}
		job, _ := locker.NewJob("job")
		ctx, caller := tracers.Tracer("test").Start(t.Context(), "caller")
		_ = job.Run(ctx, time.Now(), otelredlock.Traced(tracers, func(ctx context.Context) error {
			_, work := tracers.Tracer("test").Start(ctx, "work")
			work.End()
			return errors.New("disk full")
		}))
		caller.End()
		all := spans.GetSpans()
		if len(all) != 3 {
			t.Fatalf("%d spans", len(all))
		}
		work, ran, outer := all[0], all[1], all[2]
		if ran.Name != "redtick run" || work.Parent.SpanID() != ran.SpanContext.SpanID() || ran.Parent.SpanID() != outer.SpanContext.SpanID() {
			t.Errorf("%s has the parent %v, %s the parent %v", work.Name, work.Parent.SpanID(), ran.Name, ran.Parent.SpanID())
		}
		if text := fmt.Sprint(ran.Attributes, ran.Status); !strings.Contains(text, `{"redtick.name":"job"}`) || !strings.Contains(text, "redtick.tick") || !strings.Contains(text, "disk full") {
			t.Error(text)
		}
		func() {
			defer func() { _ = recover() }()
			_ = otelredlock.Traced(tracers, func(context.Context) error { panic("no") })(t.Context())
		}()
		if last := spans.GetSpans()[3]; last.Status.Description != "panicked" {
			t.Errorf("%+v", last.Status)
		}
		_ = locker.Close(t.Context())
	})
}
