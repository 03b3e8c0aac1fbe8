package cronadapter_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
)

// solo lets one replica run a job for a while, with what happens meanwhile, and
// returns what its observer was told.
func solo(t *testing.T, job func(context.Context) error, meanwhile func(f *fleet, r *replica)) []redlock.Event {
	t.Helper()
	travel(nights[0].noon)
	f := newFleet(t, 3)
	r := f.replica("a", 0)
	r.schedule("job", parse(t, "* * * * *"), job)
	r.Start()
	meanwhile(f, r)
	<-r.a.Stop(r.Cron).Done()
	r.locker.Close(t.Context())
	return r.log.take()
}

// one fails unless there is one event, of this kind, reason and tick.
func one(t *testing.T, events []redlock.Event, kind redlock.EventKind, reason error, tick time.Time) redlock.Event {
	t.Helper()
	if len(events) != 1 {
		t.Fatalf("%d events, want 1: %v", len(events), events)
	}
	e := events[0]
	if e.Kind != kind || !errors.Is(e.Err, reason) || e.Name != "job" || !e.Tick.Equal(tick) {
		t.Errorf("told %s %v of %q %v, want %s %v of \"job\" %v", e.Kind, e.Err, e.Name, e.Tick, kind, reason, tick.UTC())
	}
	return e
}

// The job and the observer learn of a lost lease when it happens. The observer is not told
// again when the job, which reacts late, returns.
//
// Seen to fail without the lease in the job's context, without the watch, and
// with the loss told twice.
func TestEvents_lease_lost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told time.Time
		var cause error
		job := func(ctx context.Context) error {
			<-ctx.Done()
			told, cause = time.Now(), context.Cause(ctx)
			time.Sleep(10 * time.Minute)
			return nil
		}
		tick := nights[0].noon.Add(30 * time.Second)
		lines := solo(t, job, func(f *fleet, r *replica) {
			travel(tick.Add(time.Second))
			r.cut()
			travel(tick.Add(50 * time.Second))
			r.Cron.Stop()
		})
		l := one(t, lines, redlock.Lost, redlock.ErrLost, tick)
		if !errors.Is(cause, redlock.ErrLost) || !told.Equal(l.At) || told.Sub(tick) > redlock.DefaultTTL {
			t.Errorf("job told %v after the tick of %v, observer at %v", told.Sub(tick), cause, l.At)
		}
	})
}

// Every reason for which a tick may have run nowhere is logged as an error.
func TestEvents_not_run(t *testing.T) {
	cases := map[string]struct {
		before func(*fleet, *replica)
		reason error
	}{
		"no quorum":            {func(f *fleet, _ *replica) { f.servers[0].Freeze(); f.servers[2].Freeze() }, redlock.ErrNoQuorum},
		"nodes' clocks behind": {func(f *fleet, _ *replica) { f.setClocks(-time.Hour) }, redlock.ErrClockSkew},
		"nodes' clocks ahead":  {func(f *fleet, _ *replica) { f.setClocks(time.Hour) }, redlock.ErrTickStale},
		"locker closed":        {func(_ *fleet, r *replica) { r.locker.Close(context.Background()) }, redlock.ErrClosed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ran := false
				job := func(context.Context) error { ran = true; return nil }
				lines := solo(t, job, func(f *fleet, r *replica) {
					c.before(f, r)
					time.Sleep(time.Minute)
					<-r.a.Stop(r.Cron).Done() // else a claim that still waits for a quorum gets it
					for _, s := range f.servers {
						s.Thaw()
					}
				})
				lines = slices.DeleteFunc(lines, func(e redlock.Event) bool { return errors.Is(e.Err, context.Canceled) }) // it waited when the replica left
				if e := one(t, lines, redlock.Refused, c.reason, nights[0].noon.Add(30*time.Second)); e.Level() < slog.LevelWarn {
					t.Errorf("not logged by default: %v", e)
				}
				if ran {
					t.Error("it ran all the same")
				}
			})
		})
	}
}

func (f *fleet) setClocks(offset time.Duration) {
	for _, s := range f.servers {
		s.SetClock(offset, 1)
	}
}
