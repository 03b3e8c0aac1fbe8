package cronadapter_test

import (
	"context"
	"errors"
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
// returns what its logger was told.
func solo(t *testing.T, job func(context.Context) error, meanwhile func(f *fleet, r *replica)) []line {
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

// one fails unless there is one line, an Error with this reason and message or,
// with an empty message, a skip with this reason.
func one(t *testing.T, lines []line, msg string, reason error, tick time.Time) line {
	t.Helper()
	if len(lines) != 1 {
		t.Fatalf("%d lines, want 1: %v", len(lines), lines)
	}
	l := lines[0]
	if msg == "" {
		if l.err != nil || l.msg != "skip" || l.kv["reason"] != reason {
			t.Errorf("told %q %v %v, want a skip for %v", l.msg, l.err, l.kv, reason)
		}
	} else if !errors.Is(l.err, reason) || l.msg != msg {
		t.Errorf("told %q %v, want %q %v", l.msg, l.err, msg, reason)
	}
	if got, _ := l.kv["tick"].(time.Time); l.kv["job"] != "job" || got != tick.UTC() {
		t.Errorf("it is about %v, want job and %v", l.kv, tick.UTC())
	}
	return l
}

// A tick that another replica has is no error: the logger is told at Info level
// why this one did not run it and, as far as that is known, who did.
func TestLogger_skips(t *testing.T) {
	hour := nights[0].noon.Truncate(time.Hour).Add(time.Hour)
	cases := map[string]struct {
		work    time.Duration // of the other replica, on the hour
		spec    string
		tick    time.Time
		reason  error
		holders []any
	}{
		"the tick was run":    {time.Millisecond, "0 * * * *", hour, redlock.ErrTickDone, []any{"b", ""}},
		"an earlier one runs": {61 * time.Second, "1 * * * *", hour.Add(time.Minute), redlock.ErrTaken, []any{"b"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				travel(nights[0].noon)
				f := newFleet(t, 3)
				a, b := f.replica("a", -40*time.Millisecond), f.replica("b", 0)
				a.add("job", c.spec, 0)
				b.add("job", "0 * * * *", c.work)
				a.Start()
				b.Start()
				travel(hour.Add(5 * time.Minute))
				a.leave()
				b.leave()
				if l := one(t, a.log.take(), "", c.reason, c.tick); !slices.Contains(c.holders, l.kv["holder"]) {
					t.Errorf("holder %q, want one of %q", l.kv["holder"], c.holders)
				}
				if lines := b.log.take(); len(lines) != 0 {
					t.Errorf("the replica that ran it said %v", lines)
				}
			})
		})
	}
}

func TestLogger_job_failed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		lines := solo(t, func(context.Context) error { return broken }, func(*fleet, *replica) { time.Sleep(time.Minute) })
		one(t, lines, "job failed", broken, nights[0].noon.Add(30*time.Second))
	})
}

// A loss is told when it happens, to the job and to the logger, and not again
// when the job, which heeds it late, has returned.
//
// Seen to fail without the lease in the job's context, without the watch, and
// with the loss told twice.
func TestLogger_lease_lost(t *testing.T) {
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
		l := one(t, lines, "lease lost, job was told", redlock.ErrLost, tick)
		if !errors.Is(cause, redlock.ErrLost) || !told.Equal(l.at) || told.Sub(tick) > redlock.DefaultTTL {
			t.Errorf("job told %v after the tick of %v, logger at %v", told.Sub(tick), cause, l.at)
		}
	})
}

// Every reason why a tick may have run nowhere is an error.
func TestLogger_not_run(t *testing.T) {
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
					for _, s := range f.servers {
						s.Thaw()
					}
				})
				one(t, lines, "not run", c.reason, nights[0].noon.Add(30*time.Second))
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
func TestLogger_not_given_back(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := make(chan []driver.Node, 1)
		job := func(context.Context) error {
			for _, n := range (<-nodes)[1:] {
				n.(*redlocktest.Node).Hang()
			}
			return nil
		}
		lines := solo(t, job, func(f *fleet, r *replica) { nodes <- r.nodes; time.Sleep(time.Minute) })
		one(t, lines, "lease not given back", redlock.ErrNoQuorum, nights[0].noon.Add(30*time.Second))
	})
}

// What a job does with its own lease is no loss.
func TestLogger_job_ends_its_lease(t *testing.T) {
	for name, end := range map[string]func(context.Context, *redlock.Lease) error{
		"Unlock": func(ctx context.Context, l *redlock.Lease) error { return l.Unlock(ctx) },
		"Detach": func(_ context.Context, l *redlock.Lease) error { _, err := l.Detach(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lines := solo(t, func(ctx context.Context) error {
					lease, _ := cronadapter.LeaseFrom(ctx)
					if tick, _ := cronadapter.TickFrom(ctx); lease.Fence() != tick.UnixMilli() {
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
