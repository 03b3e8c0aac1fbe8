package asynqadapter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
)

// steppedClock is a wall clock that is set now and then.
type steppedClock struct{ ahead atomic.Int64 }

func (c *steppedClock) now() time.Time {
	return time.Now().Add(time.Duration(c.ahead.Load()))
}

func (c *steppedClock) set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

// pausedClock is right, and stops the loop that reads it as a pause of the process would.
type pausedClock struct{ pause atomic.Int64 }

func (c *pausedClock) now() time.Time {
	time.Sleep(time.Duration(c.pause.Swap(0)))
	return time.Now()
}

// until lists the IDs of @every-like ticks from a first one on.
func until(name string, first, last time.Time, every time.Duration) (ids []string) {
	for tick := first; !tick.After(last); tick = tick.Add(every) {
		ids = append(ids, name+"@"+tick.UTC().Format(time.RFC3339))
	}
	return ids
}

// The clock was wrong when the scheduler started, or went wrong later, and is
// set right. From a minute after that on no tick is missing.
//
// Mutations: take without its first case; the moment of
// the whole scheduler instead of each entry's.
func TestScheduler_clockSetBack(t *testing.T) {
	for _, spec := range []string{"* * * * *", "@every 60s", "CRON_TZ=America/New_York */1 * * * *"} {
		for _, c := range []struct {
			name          string
			before, after time.Duration
		}{
			{"eight hours", 8 * time.Hour, 0}, {"an hour, to behind", 30 * time.Minute, -30 * time.Minute},
			{"half a minute", 30 * time.Second, 0}, {"a year", 365 * 24 * time.Hour, 0},
		} {
			t.Run(spec+" "+c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(48 * time.Hour)
					ids, clock := newLedger(), &steppedClock{}
					clock.set(c.before)
					s := newScheduler(t, link{ids, 0}, nil, asynqadapter.WithClock(clock.now))
					register(t, s, spec, asynq.NewTask("job", nil))
					start(t, s)
					time.Sleep(150 * time.Second)
					clock.set(c.after)
					right := clock.now().Truncate(time.Minute).Add(2 * time.Minute)
					time.Sleep(10 * time.Minute)
					got := ids.ids()
					for _, id := range until("job", right, right.Add(7*time.Minute), time.Minute) {
						if !slices.Contains(got, id) {
							t.Errorf("no task %s among %q", id, got)
						}
					}
					for _, e := range s.Entries() {
						if now := clock.now(); e.Prev.After(now) || e.Next.Sub(now) > time.Minute {
							t.Errorf("it is %v, and the entry is listed with %v and %v", now, e.Prev, e.Next)
						}
					}
				})
			})
		}
	}
}

// The clock is right again before the loop looks: nothing is lost, as the next
// tick is still the first after any time that was seen.
func TestScheduler_clockSetBackUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids, clock := newLedger(), &steppedClock{}
		s := newScheduler(t, link{ids, 0}, nil, asynqadapter.WithClock(clock.now))
		register(t, s, "* * * * *", asynq.NewTask("job", nil))
		start(t, s)
		time.Sleep(10*time.Minute + 30*time.Second)
		clock.set(-20 * time.Second)
		time.Sleep(10*time.Minute + 30*time.Second)
		want := until("job", bubbleStart.Add(time.Minute), bubbleStart.Add(20*time.Minute), time.Minute)
		if got := ids.ids(); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

// What a clock that is set forward, and a process that was paused, have missed.
//
// Mutations: jumped always or never; upTo left out of due; the walk through
// ticks that are too old (the decades take minutes).
func TestScheduler_clockSetForward(t *testing.T) {
	for _, c := range []struct {
		name   string
		ahead  time.Duration
		missed int
	}{
		{"an hour", time.Hour, 1},
		{"half a minute", 30 * time.Second, 1},
		{"from 1970", 30 * 365 * 24 * time.Hour, 1},
		{"slewed", 900 * time.Millisecond, 0},
	} {
		for _, spec := range []string{"@every 1s", "* * * * *"} {
			t.Run(c.name+" "+spec, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ids, seen, clock := newLedger(), &events{}, &steppedClock{}
					s := newScheduler(t, link{ids, 0}, nil, asynqadapter.WithClock(clock.now), asynqadapter.WithObserver(seen.observe))
					register(t, s, spec, asynq.NewTask("job", nil))
					start(t, s)
					time.Sleep(90*time.Second + 500*time.Millisecond)
					before := len(ids.ids())
					clock.set(c.ahead)
					newest := clock.now().Truncate(time.Second)
					if spec != "@every 1s" {
						newest = newest.Truncate(time.Minute)
						time.Sleep(29 * time.Second) // it wakes for what was the next minute
					}
					time.Sleep(501 * time.Millisecond)
					got := ids.ids()
					if n := len(got) - before; n > 2 {
						t.Errorf("%d tasks at once: %q", n, got[before:])
					}
					for _, id := range got[before:] {
						if id < "job@"+newest.UTC().Format(time.RFC3339) {
							t.Errorf("enqueued %s, which is not the newest", id)
						}
					}
					if len(got) == before && c.missed > 0 {
						t.Error("the newest is missing")
					}
					if n := seen.count(asynqadapter.Late); spec == "@every 1s" && n != c.missed {
						t.Errorf("%d events for what is missing, want %d: %v", n, c.missed, seen.all)
					}
				})
			})
		}
	}
}

// With WithNewestOnly a tick that could not be enqueued gives way to the next one, even if the entry is replaced
// meanwhile. The replacement does not report the outage again.
// Mutations: tooLate without errSuperseded; the option ignored in take; add without the old one's progress.
func TestScheduler_newestOnly(t *testing.T) {
	newest := []asynqadapter.SchedulerOption{asynqadapter.WithNewestOnly()}
	for _, c := range []struct {
		opts   []asynqadapter.SchedulerOption
		update string
		due    int
		want   string
	}{
		{nil, "", 4, "00:01 00:02 00:03 00:04"},
		{newest, "", 4, "00:04"},
		{newest, "* * * * *", 4, "00:04"},
		{newest, "*/2 * * * *", 3, "00:04"},
		{newest, "@daily", 2, "00:02"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ids, seen := newLedger(), &events{}
			ids.fail(errors.New("connection refused"))
			s := newScheduler(t, link{ids, 0}, nil, append(c.opts, asynqadapter.WithObserver(seen.observe))...)
			register(t, s, "* * * * *", asynq.NewTask("job", nil))
			start(t, s)
			time.Sleep(2*time.Minute + 30*time.Second)
			if c.update != "" {
				if err := s.Update("job", c.update, asynq.NewTask("job", nil)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(2 * time.Minute)
			ids.fail(nil)
			time.Sleep(6 * time.Second)
			var got []string
			for _, id := range ids.ids() {
				got = append(got, id[len("job@2000-01-01T"):len("job@2000-01-01T00:00")])
			}
			if strings.Join(got, " ") != c.want || seen.count(asynqadapter.Late) != c.due-len(got) || seen.count(asynqadapter.EnqueueFailed) != 1 {
				t.Errorf("got %q, want %q, and an event for each other: %v", got, c.want, seen.of(asynqadapter.Late))
			}
		})
	}
}

// A tick that waits for Redis while the clock is set back is given up, and
// comes again at its time. Mutation: tooLate without errSetBack.
func TestScheduler_clockSetBackInOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids, seen, clock := newLedger(), &events{}, &steppedClock{}
		clock.set(time.Hour)
		ids.fail(errors.New("connection refused"))
		s := newScheduler(t, link{ids, 0}, nil, asynqadapter.WithClock(clock.now), asynqadapter.WithObserver(seen.observe))
		register(t, s, "0 * * * *", asynq.NewTask("job", nil))
		start(t, s)
		time.Sleep(time.Hour + 30*time.Second)
		clock.set(0) // it is 01:00:30 again, and two o'clock is being tried
		time.Sleep(30 * time.Second)
		ids.fail(nil)
		time.Sleep(30 * time.Minute)
		if got := ids.ids(); len(got) != 0 {
			t.Errorf("enqueued %q before its time", got)
		}
		time.Sleep(30 * time.Minute)
		if got := ids.ids(); !slices.Equal(got, []string{"job@2000-01-01T02:00:00Z"}) || seen.count(asynqadapter.Late) != 1 {
			t.Errorf("enqueued %q, reported %v; want two o'clock, at its time", got, seen.of(asynqadapter.Late))
		}
	})
}

// Entries are reloaded while a tick is due, in every way and order.
//
// Mutations: remove without take; add without departed (the gap); reloadLimit
// of an hour (the pause).
func TestScheduler_reload(t *testing.T) {
	nine := bubbleStart.Add(9 * time.Hour)
	for _, c := range []struct {
		name   string
		before time.Duration // the reload begins so long before nine, by the scheduler's clock
		gap    time.Duration
		spec   string
		update bool
		want   int
	}{
		{"due", -10 * time.Second, 0, "0 9 * * *", false, 1},
		{"due, other spec", -10 * time.Second, 0, "0 21 * * *", false, 1},
		{"in between", time.Second, 2 * time.Second, "0 9 * * *", false, 1},
		{"after a pause", time.Second, time.Minute, "0 9 * * *", false, 0},
		{"in between, other spec", time.Second, 2 * time.Second, "0 21 * * *", false, 0},
		{"update while due", -10 * time.Second, 0, "0 9 * * *", true, 1},
		{"update to a later time", time.Second, 0, "0 21 * * *", true, 0},
		{"update to the same time", time.Second, 0, "0 8,9 * * *", true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ids, clock := newLedger(), &steppedClock{}
				s := newScheduler(t, link{ids, 0}, nil, asynqadapter.WithClock(clock.now))
				id := register(t, s, "0 9 * * *", asynq.NewTask("daily", nil))
				start(t, s)
				time.Sleep(time.Until(nine.Add(-time.Minute)))
				time.Sleep(30*time.Second + time.Millisecond)
				if c.before < 0 {
					clock.set(30*time.Second - c.before) // nine has passed, and the timer has not fired
				} else {
					time.Sleep(time.Until(nine.Add(-c.before)))
				}
				reload(t, s, id, c.spec, c.gap, c.update)
				time.Sleep(time.Hour)
				if got := ids.ids(); len(got) != c.want || len(s.Entries()) != 1 || s.Entries()[0].Spec != c.spec {
					t.Errorf("tasks %q, entries %v; want %d and the new one", got, s.Entries()[0], c.want)
				}
			})
		})
	}
}

func reload(t *testing.T, s *asynqadapter.Scheduler, id, spec string, gap time.Duration, update bool) {
	t.Helper()
	if update {
		if err := s.Update(id, spec, asynq.NewTask("other", nil)); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := s.Unregister(id); err != nil {
		t.Fatal(err)
	}
	time.Sleep(gap)
	register(t, s, spec, asynq.NewTask("daily", nil))
}

// Three replicas that reload every 7 ms, for 50 ticks. Mutation: remove without take, add without departed.
func TestScheduler_reloadAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := newLedger()
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			s := newScheduler(t, link{ids, time.Millisecond}, nil)
			id := register(t, s, "@every 1s", asynq.NewTask("job", nil))
			start(t, s)
			go func() {
				for ctx.Err() == nil {
					time.Sleep(7 * time.Millisecond)
					_ = s.Unregister(id)
					time.Sleep(time.Millisecond)
					if _, err := s.Register("@every 1s", asynq.NewTask("job", nil)); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		time.Sleep(50*time.Second + 100*time.Millisecond)
		got := ids.ids()
		cancel()
		time.Sleep(time.Second)
		if len(got) != 50 {
			t.Errorf("%d ticks of 50", len(got))
		}
	})
}

// The tick comes while Update is at work: each look at this clock takes a second.
// Mutation: a moment each for remove and add.
func TestScheduler_Update_atTheTick(t *testing.T) {
	for early := range 5 {
		synctest.Test(t, func(t *testing.T) {
			ids, clock := newLedger(), &steppedClock{}
			var slow atomic.Bool
			looked := func() time.Time {
				if slow.Load() {
					clock.ahead.Add(int64(time.Second))
				}
				return clock.now()
			}
			s := newScheduler(t, link{ids, 0}, nil, asynqadapter.WithClock(looked))
			id := register(t, s, "0 9 * * *", asynq.NewTask("daily", nil))
			start(t, s)
			time.Sleep(9*time.Hour - time.Duration(early+1)*time.Second)
			slow.Store(true)
			if err := s.Update(id, "0 8,9 * * *", asynq.NewTask("daily", nil)); err != nil {
				t.Fatal(err)
			}
			slow.Store(false)
			time.Sleep(time.Minute)
			if got := ids.ids(); len(got) != 1 {
				t.Errorf("updated %d s before the tick: enqueued %q", early+1, got)
			}
		})
	}
}

// An entry that is removed before Start and comes again after it has no ticks from before Start.
//
// Seen to fail when it went on where it was.
func TestScheduler_reload_aroundStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := newLedger()
		s := newScheduler(t, link{ids, 0}, nil)
		id := register(t, s, "@every 1s", asynq.NewTask("job", nil))
		if err := s.Unregister(id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond)
		start(t, s)
		register(t, s, "@every 1s", asynq.NewTask("job", nil))
		time.Sleep(time.Second)
		if got, want := ids.ids(), []string{"job@2000-01-01T00:00:03Z"}; !slices.Equal(got, want) {
			t.Errorf("enqueued %q, want %q", got, want)
		}
	})
}

func TestScheduler_Update_invalid(t *testing.T) {
	s := newScheduler(t, link{newLedger(), 0}, nil)
	register(t, s, "@hourly", asynq.NewTask("job", nil))
	for _, c := range []struct{ id, spec, says string }{{"none", "@daily", "no entry"}, {"job", "daily", "five fields"}} {
		if err := s.Update(c.id, c.spec, asynq.NewTask("job", nil)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: got %v, want an error that mentions %q", c, err, c.says)
		}
	}
	if got := fmt.Sprint(s.Entries()[0].Spec); got != "@hourly" {
		t.Errorf("left %s", got)
	}
}

// An Update is refused while a tick of the entry is being enqueued, which goes on with the entry. For the race detector.
//
// Seen to fail when the entry that stays was written to as if it were another.
func TestScheduler_Update_refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := link{newLedger(), time.Second}
		s, other := newScheduler(t, client, nil), newScheduler(t, client, nil)
		register(t, s, "* * * * *", asynq.NewTask("job", nil))
		register(t, other, "* * * * *", asynq.NewTask("job", nil))
		start(t, s)
		time.Sleep(time.Minute + time.Second)
		if err := s.Update("job", "@hourly", asynq.NewTask("job", nil)); !errors.Is(err, redlock.ErrInvalid) {
			t.Errorf("the other scheduler has the name with another spec, but Update returned %v", err)
		}
		time.Sleep(time.Minute + time.Second)
		if got, want := client.ids(), []string{"job@2000-01-01T00:01:00Z", "job@2000-01-01T00:02:00Z"}; !slices.Equal(got, want) {
			t.Errorf("enqueued %q, want %q", got, want)
		}
	})
}

// A tick that is due but not yet taken when Shutdown comes is tried once.
// Mutation: run returning without fire.
func TestScheduler_Shutdown_due(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids, clock := newLedger(), &steppedClock{}
		s := newScheduler(t, link{ids, 0}, nil, asynqadapter.WithClock(clock.now))
		register(t, s, "0 9 * * *", asynq.NewTask("job", nil))
		start(t, s)
		time.Sleep(9*time.Hour - 10*time.Second)
		clock.set(11 * time.Second)
		s.Shutdown()
		if got := ids.ids(); len(got) != 1 {
			t.Errorf("enqueued %q, want the tick that was due", got)
		}
	})
}

// Two schedulers of a process that use one name for different entries.
// Mutations: claimName always nil; releaseName left out of Unregister, Update or Shutdown.
func TestScheduler_sharedNames(t *testing.T) {
	client := link{newLedger(), 0}
	s := newScheduler(t, client, nil)
	for _, c := range []struct {
		name string
		do   func(other *asynqadapter.Scheduler) error
		ok   bool
	}{
		{"the same work", func(o *asynqadapter.Scheduler) error { return registered(o, "@hourly", "cleanup") }, true},
		{"another spec", func(o *asynqadapter.Scheduler) error { return registered(o, "@daily", "cleanup") }, false},
		{"another task", func(o *asynqadapter.Scheduler) error {
			return registered(o, "@hourly", "other", asynqadapter.Name("cleanup"))
		}, false},
		{"another queue", func(o *asynqadapter.Scheduler) error { return registered(o, "@daily", "cleanup", asynq.Queue("low")) }, true},
		{"another queue inside", func(o *asynqadapter.Scheduler) error {
			_, err := o.Register("@daily", asynq.NewTask("cleanup", nil, asynq.Queue("low")))
			return err
		}, true},
		{"another name", func(o *asynqadapter.Scheduler) error {
			return registered(o, "@daily", "cleanup", asynqadapter.Name("mine"))
		}, true},
		{"updated to another spec", func(o *asynqadapter.Scheduler) error {
			err := registered(o, "@hourly", "cleanup")
			return errors.Join(err, o.Update("cleanup", "@daily", asynq.NewTask("cleanup", nil)))
		}, false},
		{"after Unregister", func(o *asynqadapter.Scheduler) error {
			err := s.Unregister("cleanup")
			return errors.Join(err, registered(o, "@daily", "cleanup"), o.Unregister("cleanup"), registered(s, "@hourly", "cleanup"))
		}, true},
		{"after Update", func(o *asynqadapter.Scheduler) error {
			err := s.Update("cleanup", "@daily", asynq.NewTask("cleanup", nil))
			return errors.Join(err, registered(o, "@daily", "cleanup"))
		}, true},
		{"after Shutdown", func(o *asynqadapter.Scheduler) error { s.Shutdown(); return registered(o, "@weekly", "cleanup") }, true},
	} {
		if len(s.Entries()) == 0 {
			register(t, s, "@hourly", asynq.NewTask("cleanup", nil))
		}
		other := newScheduler(t, client, nil)
		err := c.do(other)
		if c.ok && err != nil || !c.ok && !errors.Is(err, redlock.ErrInvalid) {
			t.Errorf("%s: got %v", c.name, err)
		}
		other.Shutdown()
	}
}

func registered(s *asynqadapter.Scheduler, spec, kind string, opts ...asynq.Option) error {
	_, err := s.Register(spec, asynq.NewTask(kind, nil), opts...)
	return err
}

// A process that is paused for three minutes: both of its clocks go on.
// Mutations: newestOnly left out of take; jumped by the wall clock alone.
func TestScheduler_paused(t *testing.T) {
	for _, c := range []struct {
		opts []asynqadapter.SchedulerOption
		want string
	}{
		{nil, "00:01 00:02 00:03 00:04 00:05"},
		{[]asynqadapter.SchedulerOption{asynqadapter.WithNewestOnly()}, "00:01 00:05"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ids, seen, clock := newLedger(), &events{}, &pausedClock{}
			s := newScheduler(t, link{ids, 0}, nil, append(c.opts, asynqadapter.WithClock(clock.now), asynqadapter.WithObserver(seen.observe))...)
			register(t, s, "* * * * *", asynq.NewTask("job", nil))
			start(t, s)
			time.Sleep(90 * time.Second)
			clock.pause.Store(int64(3*time.Minute + 10*time.Second))
			time.Sleep(4 * time.Minute)
			var got []string
			for _, id := range ids.ids() {
				got = append(got, id[len("job@2000-01-01T"):len("job@2000-01-01T00:00")])
			}
			if strings.Join(got, " ") != c.want || seen.count(asynqadapter.Late) != len(c.opts) {
				t.Errorf("got %q, want %q; reported %v, want one event for all that are missing", got, c.want, seen.of(asynqadapter.Late))
			}
		})
	}
}

// Once a wrong clock is corrected, a tick in the future is not listed as the previous one. Mutation: begin without previous.
func TestScheduler_Entries_clockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &steppedClock{}
		clock.set(8 * time.Hour)
		s := newScheduler(t, link{newLedger(), 0}, nil, asynqadapter.WithClock(clock.now))
		register(t, s, "@hourly", asynq.NewTask("job", nil))
		start(t, s)
		time.Sleep(90 * time.Minute)
		clock.set(0)
		time.Sleep(2 * time.Minute)
		if e := s.Entries()[0]; !e.Prev.IsZero() || !e.Next.Equal(bubbleStart.Add(2*time.Hour)) {
			t.Errorf("listed with %v and %v, want none and 02:00", e.Prev, e.Next)
		}
	})
}
