package otelredlock_test

import (
	"context"
	"errors"
	"fmt"
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

// One lease's life, a refusal and a claim that is done, as metrics and spans,
// and the counters of what has not failed.
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
		_ = job.Run(t.Context(), time.Now(), func(context.Context) error { return errors.New("no") })
		time.Sleep(time.Second)
		tick := time.Now()
		claim, _ := job.Claim(t.Context(), tick)
		synctest.Wait()
		_, _ = job.Claim(t.Context(), tick)
		synctest.Wait()

		got := collect(t, reader)
		for metric, want := range map[string]int64{
			"redtick.acquisitions acquired": 3, "redtick.acquisitions taken": 1, "redtick.acquisitions done": 1,
			"redtick.runs failed": 1, "redtick.runs panicked": 0, "redtick.renewals renewed": 1, "redtick.held job": 1,
			"redtick.lost job": 0, "redtick.acquisitions no_quorum": 0, "redtick.renewals failed": 0, "redtick.events.missed ": 0,
		} {
			if value, there := got[metric]; !there || value != want {
				t.Errorf("%s is %d (there: %v), want %d; all: %v", metric, value, there, want, got)
			}
		}
		held := time.Duration(0)
		for _, s := range spans.GetSpans() {
			if s.Name == "redtick hold job" && held == 0 {
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

// collect sums integers by metric and by their outcome, or else their name.
func collect(t *testing.T, reader *metric.ManualReader) map[string]int64 {
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			data, ok := m.Data.(metricdata.Sum[int64])
			if !ok {
				continue
			}
			for _, p := range data.DataPoints {
				by, found := p.Attributes.Value("outcome")
				if !found {
					by, found = p.Attributes.Value("result")
				}
				if !found {
					by, _ = p.Attributes.Value("name")
				}
				sums[fmt.Sprintf("%s %s", m.Name, by.AsString())] += p.Value
			}
		}
	}
	return sums
}
