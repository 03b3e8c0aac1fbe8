package cronadapter_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
)

// Under take-over a job that is slower than its schedule runs its ticks in order, later
// and later, until the backlog is full: then ticks are refused, with an event. Ticks
// older than the retention are not run.
//
// Seen to fail without the bound, and without the order (ticks are left out).
func TestAdapter_WithTakeover_backlog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		time.Sleep(500 * time.Millisecond)
		before := runtime.NumGoroutine()
		f := newFleet(t, 3)
		fleet := []*replica{f.replica("a", 0), f.replica("b", -40*time.Millisecond)}
		for _, r := range fleet {
			r.add("job", "@every 1s", 2500*time.Millisecond, redlock.WithTakeover(), redlock.WithRetention(time.Hour))
			r.Start()
		}
		time.Sleep(10 * time.Minute)
		inOrder(t, f, begin, 230)
		time.Sleep(30 * time.Minute)
		if n := runtime.NumGoroutine() - before; n > 2*1000+100 {
			t.Errorf("%d goroutines", n)
		}
		refused := 0
		for _, r := range fleet {
			<-r.a.Stop(r.Cron).Done()
			for _, e := range r.log.failures() {
				if e.Kind != redlock.Refused || !errors.Is(e.Err, cronadapter.ErrBacklog) || !hasAll(e.Err.Error(), "1000", "slower than its schedule") {
					t.Fatalf("told %s %v", e.Kind, e.Err)
				}
				refused++
			}
			r.locker.Close(t.Context())
		}
		if refused == 0 {
			t.Error("nothing was refused")
		}
	})
}

// inOrder fails unless the given number of ticks since begin was run, each once.
func inOrder(t *testing.T, f *fleet, begin time.Time, least int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range f.runs {
		if want := begin.Add(time.Duration(i+1) * time.Second); !r.tick.Equal(want) {
			t.Fatalf("run %d is of the tick %v, want %v", i, r.tick, want)
		}
	}
	if len(f.runs) < least {
		t.Errorf("%d runs, want at least %d", len(f.runs), least)
	}
}

// Stop ends the waiting of all ticks at once.
func TestAdapter_Stop_ends_the_backlog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		r := f.replica("a", 0)
		r.schedule("job", parse(t, "@every 1s"), func(ctx context.Context) error { <-ctx.Done(); return nil }, redlock.WithTakeover())
		r.Start()
		time.Sleep(time.Minute)
		begin := time.Now()
		<-r.a.Stop(r.Cron).Done()
		if took := time.Since(begin); took != 0 || len(f.of("job")) != 1 {
			t.Errorf("Stop took %v, %d runs", took, len(f.of("job")))
		}
		if events := r.log.failures(); len(events) != 0 {
			t.Errorf("told %v", events)
		}
		r.leave()
	})
}
