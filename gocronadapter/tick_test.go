package gocronadapter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// scripted is a scheduler with one job, whose list of ticks the test sets.
type scripted struct {
	gocron.Scheduler
	gocron.Job
	pending  []time.Time
	err      error
	schedule gocron.JobSchedule
}

func (s *scripted) Jobs() []gocron.Job           { return []gocron.Job{s} }
func (s *scripted) Name() string                 { return "job" }
func (s *scripted) ID() uuid.UUID                { return uuid.UUID{1} }
func (s *scripted) Schedule() gocron.JobSchedule { return s.schedule }
func (s *scripted) RunNow() error                { return nil }

func (s *scripted) NextRuns(n int) ([]time.Time, error) {
	if s.err != nil || len(s.pending) == 0 {
		return nil, s.err
	}
	ticks := append([]time.Time{}, s.pending...)
	for len(ticks) < n {
		ticks = append(ticks, ticks[len(ticks)-1].Add(time.Second))
	}
	return ticks[:n], nil
}

// gocron drops from its list what comes due between Lock's look at it and the
// end of the vote, so the tick of a run may be missing.
//
// Seen to fail when the ticks of the last look are forgotten (the second and
// third look), when an empty list counts as RunNow (the first and the last),
// when choose has no tick for one that is still pending, and when it looks ahead
// at the first of the list, which a restart leaves in disorder.
func TestLocker_tick_dropped_while_Lock_was_busy(t *testing.T) {
	const none, done = -1, -2
	for name, looks := range map[string][]struct {
		at      time.Duration // when Lock is called
		pending []int         // gocron's list then
		want    int           // the tick that is claimed
	}{
		"nothing is known":          {{1000, nil, none}},
		"the list is empty":         {{1000, []int{1}, 1}, {2001, nil, 2}, {3001, nil, 3}},
		"a later one is in it":      {{1000, []int{1}, 1}, {2001, []int{3}, 2}, {3000, []int{3}, 3}},
		"foreseen by a RunNow":      {{900, []int{1}, 0}, {1001, nil, 1}},
		"asked for and pending":     {{1000, []int{1}, 1}, {1001, []int{1}, done}},
		"the next is not the first": {{1000, []int{1}, 1}, {1999, []int{5, 2}, 2}},
		"what was foreseen is old":  {{1000, []int{1}, 1}, {16001, nil, 16}, {18001, nil, none}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				servers, s, l := attachedToScript(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				start := time.Now()
				for _, look := range looks {
					time.Sleep(time.Until(start.Add(look.at * time.Millisecond)))
					s.pending = atSecond(start, look.pending...)
					if look.want == 0 {
						if err := l.RunNow(s); err != nil {
							t.Error(err)
						}
					}
					lock, err := l.Lock(ctx, "job")
					if look.want == done {
						if !errors.Is(err, redlock.ErrTickDone) {
							t.Errorf("at %v: %v, want ErrTickDone", look.at, err)
						}
						continue
					}
					if look.want == none {
						if !errors.Is(err, gocronadapter.ErrNoTick) || !strings.Contains(err.Error(), "dropped") {
							t.Errorf("at %v: %v, want ErrNoTick that says why", look.at, err)
						}
						continue
					}
					if err != nil {
						t.Fatalf("at %v: %v", look.at, err)
					}
					if err := lock.Unlock(ctx); err != nil {
						t.Error(err)
					}
					wantLast(t, servers[0], start, look.want)
				}
			})
		})
	}
}

// gocron drops a RunNow of a singleton job in reschedule mode while a run is under way. No later run is mistaken for it.
//
// Seen to fail without forgetRunNows.
func TestLocker_dropped_RunNow_announced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, l := attachedToScript(t, gocronadapter.WithJobOptions(redlock.WithSpread(0)))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		run := func(second int, pending ...int) error {
			time.Sleep(time.Until(start.Add(time.Duration(second) * time.Second)))
			s.pending = atSecond(start, pending...)
			lock, err := l.Lock(ctx, "job")
			if err == nil {
				err = lock.Unlock(ctx)
			}
			return err
		}
		if err := run(1, 1); err != nil {
			t.Error(err)
		}
		time.Sleep(500 * time.Millisecond)
		if err := l.RunNow(s); err != nil { // it does not come
			t.Error(err)
		}
		if err := run(4, 2, 3, 4); err != nil {
			t.Error(err)
		}
		if err := run(4, 5); !errors.Is(err, gocronadapter.ErrNoTick) {
			t.Errorf("a run that waited in a queue: %v, want ErrNoTick", err)
		}
	})
}

// wantLast compares the newest tick that was granted.
func wantLast(t *testing.T, s *redlocktest.Server, start time.Time, second int) {
	t.Helper()
	synctest.Wait()
	last, _ := s.Get("job:redtick:{job}:last")
	want := fmt.Sprint(start.Add(time.Duration(second) * time.Second).UnixMilli())
	if second == 0 {
		want = ""
	}
	if last != want {
		t.Errorf("the last tick is %q, want %q", last, want)
	}
}

// gocron's error reaches AfterLockError, and nothing is locked.
func TestLocker_job_is_gone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers, s := redlocktest.Servers(1), &scripted{schedule: gocron.CronJobSchedule{}, err: gocron.ErrJobNotFound}
		l, err := gocronadapter.NewLocker(lockerOn(t, servers, "a").Locker)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Attach(s); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if _, err := l.Lock(ctx, "job"); !errors.Is(err, gocron.ErrJobNotFound) {
			t.Errorf("Lock: %v", err)
		}
		if _, err := l.Lock(ctx, "another"); !errors.Is(err, gocronadapter.ErrNoTick) {
			t.Errorf("a job that the scheduler does not have: %v", err)
		}
		if keys := servers[0].Keys(); len(keys) > 0 {
			t.Errorf("keys %v", keys)
		}
	})
}

// A scheduler that does not answer blocks Lock for 30 s, not forever.
func TestLocker_scheduler_does_not_answer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := newLocker(t), &deaf{answer: make(chan struct{})}
		if err := l.Attach(s); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := l.Lock(t.Context(), "job"); !errors.Is(err, gocronadapter.ErrNoTick) || time.Since(begin) != 30*time.Second {
			t.Errorf("Lock: %v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if _, err := l.Lock(ctx, "job"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("Lock: %v after %v", err, time.Since(begin))
		}
		close(s.answer)
	})
}

// busyGocron is a scheduler whose job's handle times out after a second, so many times.
type busyGocron struct {
	*scripted
	times atomic.Int32
}

func (s *busyGocron) Jobs() []gocron.Job { return []gocron.Job{s} }

func (s *busyGocron) NextRuns(n int) ([]time.Time, error) {
	if s.times.Add(-1) >= 0 {
		time.Sleep(time.Second)
		return nil, gocron.ErrJobNotFound
	}
	return s.scripted.NextRuns(n)
}

// gocron returns ErrJobNotFound when it is busy for more than a second, for instance with thousands of jobs due at once.
//
// Seen to fail when acquire asks only once.
func TestLocker_scheduler_is_busy(t *testing.T) {
	for times, want := range map[int32]error{3: nil, 100: gocronadapter.ErrNoTick} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLocker(t)
				s := &busyGocron{scripted: &scripted{schedule: gocron.CronJobSchedule{}, pending: []time.Time{time.Now()}}}
				s.times.Store(times)
				if err := l.Attach(s); err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				lock, err := l.Lock(t.Context(), "job")
				if took := time.Since(begin); !errors.Is(err, want) || took > 30*time.Second+50*time.Millisecond {
					t.Errorf("Lock: %v after %v, want %v", err, took, want)
				}
				if err == nil {
					if err := lock.Unlock(t.Context()); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(time.Second) // until the last question is over
			})
		})
	}
}

type deaf struct {
	gocron.Scheduler
	answer chan struct{}
}

func (d *deaf) Jobs() []gocron.Job { <-d.answer; return nil }

// attachedToScript returns a Locker on one server, attached to a scripted scheduler.
func attachedToScript(t *testing.T, opts ...gocronadapter.Option) ([]*redlocktest.Server, *scripted, *gocronadapter.Locker) {
	t.Helper()
	servers, s := redlocktest.Servers(1), &scripted{schedule: gocron.CronJobSchedule{}}
	l, err := gocronadapter.NewLocker(lockerOn(t, servers, "a").Locker, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Attach(s); err != nil {
		t.Fatal(err)
	}
	return servers, s, l
}

// slowToList is a scheduler that lists its jobs slowly.
type slowToList struct{ *scripted }

func (s slowToList) Jobs() []gocron.Job {
	time.Sleep(time.Second)
	return []gocron.Job{s}
}

// The first two runs of a job may begin together. They belong to one job, not to two with the same name.
//
// Seen to fail when each of them reserves the name: the second is refused with ErrJobName.
func TestLocker_first_runs_at_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocker(t)
		if err := l.Attach(slowToList{&scripted{schedule: gocron.CronJobSchedule{}, pending: []time.Time{time.Now().Add(time.Hour)}}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		errs := make(chan error)
		for range 2 {
			go func() {
				lock, err := l.Lock(ctx, "job")
				if err == nil {
					time.Sleep(10 * time.Second)
					err = lock.Unlock(ctx)
				}
				errs <- err
			}()
		}
		if err := <-errs; !errors.Is(err, redlock.ErrTaken) {
			t.Errorf("the run that is refused: %v, want ErrTaken", err)
		}
		if err := <-errs; err != nil {
			t.Errorf("the other run: %v", err)
		}
	})
}
