package cronadapter_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
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

// A tick that another replica has is no error: the observer is told why this one
// did not run it and, as far as that is known, who did, and the log is not.
func TestEvents_skips(t *testing.T) {
	hour := nights[0].noon.Truncate(time.Hour).Add(time.Hour)
	cases := map[string]struct {
		work    time.Duration // of the other replica, on the hour
		spec    string
		tick    time.Time
		reason  error
		holders []string
	}{
		"the tick was run":    {time.Millisecond, "0 * * * *", hour, redlock.ErrTickDone, []string{"b", ""}},
		"an earlier one runs": {61 * time.Second, "1 * * * *", hour.Add(time.Minute), redlock.ErrTaken, []string{"b"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				travel(nights[0].noon)
				f := newFleet(t, 3)
				at := cronadapter.WithJobOptions(redlock.WithSpread(0))
				a, b := f.replica("a", -40*time.Millisecond, at), f.replica("b", 0, at)
				a.add("job", c.spec, 0)
				b.add("job", "0 * * * *", c.work)
				a.Start()
				b.Start()
				travel(hour.Add(5 * time.Minute))
				a.leave()
				b.leave()
				e := one(t, a.log.take(), redlock.Refused, c.reason, c.tick)
				if !slices.Contains(c.holders, redlock.HolderOf(e.Holder)) || !skip(e) {
					t.Errorf("holder %q, want one of %q, at level %v", e.Holder, c.holders, e.Level())
				}
				if lines := b.log.take(); len(lines) != 0 {
					t.Errorf("the replica that ran it said %v", lines)
				}
			})
		})
	}
}

func TestEvents_job_failed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		lines := solo(t, func(context.Context) error { return broken }, func(*fleet, *replica) { time.Sleep(time.Minute) })
		one(t, lines, redlock.Ended, broken, nights[0].noon.Add(30*time.Second))
	})
}

// A loss is told when it happens, to the job and to the observer, and not again
// when the job, which heeds it late, has returned.
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

// Every reason why a tick may have run nowhere is an error.
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

// A lease whose end no majority has confirmed will be held until its TTL; that
// may cost the next tick.
func TestEvents_unlock_fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := make(chan []driver.Node, 1)
		job := func(context.Context) error {
			for _, n := range (<-nodes)[1:] {
				n.(*redlocktest.Node).Hang()
			}
			return nil
		}
		lines := solo(t, job, func(f *fleet, r *replica) { nodes <- r.nodes; time.Sleep(time.Minute) })
		one(t, lines, redlock.Released, redlock.ErrNoQuorum, nights[0].noon.Add(30*time.Second))
	})
}

// What a job does with its own lease is no loss.
func TestEvents_job_ends_its_lease(t *testing.T) {
	for name, end := range map[string]func(context.Context, *redlock.Lease) error{
		"Unlock": func(ctx context.Context, l *redlock.Lease) error { return l.Unlock(ctx) },
		"Detach": func(_ context.Context, l *redlock.Lease) error { _, err := l.Detach(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lines := solo(t, func(ctx context.Context) error {
					lease, _ := redlock.LeaseFrom(ctx)
					if tick, _ := redlock.TickFrom(ctx); lease.Fence() != tick.UnixMicro() {
						t.Errorf("fence %d, want the tick %v", lease.Fence(), tick)
					}
					return end(context.Background(), lease)
				}, func(*fleet, *replica) { time.Sleep(time.Minute) })
				if len(lines) != 0 {
					t.Errorf("told %v", lines)
				}
			})
		})
	}
}
