package gocronadapter_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
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

// A 12 s job every 4 s with a TTL of 2 s: renewal keeps it, and never two run
// at once.
//
// Seen to fail with redlock.WithoutRenewal.
func TestTask_longer_than_interval_and_TTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, servers := newLedger(), redlocktest.Servers(3)
		var fleet []*replica
		for i, ahead := range []time.Duration{0, 40 * time.Millisecond, -300 * time.Millisecond} {
			r := newReplica(t, lockerOn(t, servers, fmt.Sprint(i), redlock.WithTTL(2*time.Second)), newClock(ahead))
			r.job(t, gocron.CronJob("*/4 * * * * *", true), log.task("job", 12*time.Second), log.refusals(), gocron.WithName("job"), gocron.WithTags("long"))
			r.Start()
			fleet = append(fleet, r)
		}
		time.Sleep(5*time.Minute + 2*time.Second)
		for _, r := range fleet {
			r.RemoveByTags("long")
			r.leave(t)
		}
		if n := len(log.of("job")); log.overlap || n < 18 {
			t.Errorf("%d runs in 5 minutes, two at once: %v", n, log.overlap)
		}
		log.refusedFor(t, "job", redlock.ErrTaken, redlock.ErrTickDone)
	})
}

// One replica runs the job when it is cut off from all nodes. Half a second does
// not matter. After five the run's context has ended, before its TTL of 2 s was
// over, and only then another replica runs the job.
//
// Seen to fail when Task hands on gocron's context: the first run goes on for 12 s.
func TestTask_outage(t *testing.T) {
	for _, c := range []struct {
		outage time.Duration
		lost   bool
	}{{500 * time.Millisecond, false}, {5 * time.Second, true}} {
		t.Run(c.outage.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				servers := redlocktest.Servers(3)
				type end struct {
					replica int
					begin   time.Time
					at      time.Time
					cause   error
				}
				ends, fleet := make(chan end, 10), []*replica{}
				for i, ahead := range []time.Duration{40 * time.Millisecond, 0} {
					r := newReplica(t, lockerOn(t, servers, fmt.Sprint(i), redlock.WithTTL(2*time.Second)), newClock(ahead))
					r.job(t, gocron.CronJob("*/4 * * * * *", true), gocronadapter.Task(func(ctx context.Context) error {
						begin := time.Now()
						select {
						case <-ctx.Done():
						case <-time.After(12 * time.Second):
						}
						ends <- end{i, begin, time.Now(), context.Cause(ctx)}
						return nil
					}), gocron.WithName("job"), gocron.WithTags("long"))
					r.Start()
					fleet = append(fleet, r)
				}
				time.Sleep(6 * time.Second) // the first replica has been running the tick 4 for 2 s
				outage := time.Now()
				fleet[0].cut(true)
				time.Sleep(c.outage)
				fleet[0].cut(false)
				first := <-ends
				switch {
				case first.replica != 0:
					t.Errorf("replica %d ran first", first.replica)
				case c.lost && (!errors.Is(first.cause, redlock.ErrLost) || first.at.Sub(outage) > 2*time.Second):
					t.Errorf("the run ended %v after the outage began with %v; want ErrLost within the TTL", first.at.Sub(outage), first.cause)
				case !c.lost && (first.cause != nil || first.at.Sub(first.begin) != 12*time.Second):
					t.Errorf("the run ended after %v with %v; want all of its 12s", first.at.Sub(first.begin), first.cause)
				}
				if second := <-ends; second.begin.Before(first.at) {
					t.Errorf("the next run began %v before the first had ended", first.at.Sub(second.begin))
				}
				for _, r := range fleet {
					r.RemoveByTags("long") // some run is always under way
					r.leave(t)
				}
			})
		})
	}
}

// A run that ignores the loss of its lease is still running when the next one
// begins. Each has its own lease, and the first learns in its error what happened.
//
// Seen to fail when take returns the newest run, and when Task does not join the loss.
func TestTask_overlapping_runs_after_a_loss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica(t, lockerOn(t, redlocktest.Servers(3), "a", redlock.WithTTL(2*time.Second)), newClock(0))
		type outcome struct {
			tick  int
			lease *redlock.Lease
			ended error
		}
		var mu sync.Mutex
		var outcomes []outcome
		var failures []error
		start := time.Now()
		r.job(t, gocron.CronJob("*/10 * * * * *", true), gocronadapter.Task(func(ctx context.Context) error {
			time.Sleep(15 * time.Second) // whatever ctx says
			tick, _ := redlock.TickFrom(ctx)
			lease, _ := redlock.LeaseFrom(ctx)
			mu.Lock()
			defer mu.Unlock()
			outcomes = append(outcomes, outcome{int(tick.Sub(start).Seconds()), lease, context.Cause(ctx)})
			return nil
		}), gocron.WithName("job"), gocron.WithEventListeners(gocron.AfterJobRunsWithError(func(_ uuid.UUID, _ string, err error) {
			failures = append(failures, err)
		})))
		r.Start()
		time.Sleep(11 * time.Second)
		r.cut(true)
		time.Sleep(5 * time.Second)
		r.cut(false)
		time.Sleep(20 * time.Second)
		if err := r.RemoveJob(r.Jobs()[0].ID()); err != nil {
			t.Error(err)
		}
		r.leave(t)
		synctest.Wait()
		if len(outcomes) < 2 || outcomes[0].tick != 10 || outcomes[1].tick != 20 || outcomes[0].lease == outcomes[1].lease {
			t.Fatalf("outcomes: %v", outcomes)
		}
		if !errors.Is(outcomes[0].ended, redlock.ErrLost) || outcomes[1].ended != nil {
			t.Errorf("contexts ended with %v and %v, want ErrLost and nil", outcomes[0].ended, outcomes[1].ended)
		}
		if len(failures) != 1 || !errors.Is(failures[0], redlock.ErrLost) {
			t.Errorf("runs failed with %v, want one ErrLost", failures)
		}
	})
}

// A listener holds a run up until its lease is lost, and the next run overtakes
// it. That one gets its own lease, and the late one is not begun.
//
// Seen to fail when take returns the oldest run, or leaves it there, and when
// Task does not look at the lease before it begins.
func TestTask_overtaken_after_a_loss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// In this mode gocron goes on while a listener takes its time.
		r := newReplica(t, lockerOn(t, redlocktest.Servers(3), "a", redlock.WithTTL(2*time.Second)), newClock(0),
			gocron.WithLimitConcurrentJobs(2, gocron.LimitModeWait))
		var log journal
		var calls atomic.Int32
		start := time.Now()
		r.job(t, gocron.CronJob("*/10 * * * * *", true), gocronadapter.Task(func(ctx context.Context) error {
			tick, _ := redlock.TickFrom(ctx)
			log.write(fmt.Sprintf("%v: %v", tick.Sub(start), context.Cause(ctx)))
			time.Sleep(5 * time.Second)
			return nil
		}), gocron.WithName("job"), gocron.WithEventListeners(
			gocron.BeforeJobRuns(func(uuid.UUID, string) {
				if calls.Add(1) == 1 {
					time.Sleep(12 * time.Second)
				}
			}),
			gocron.AfterJobRunsWithError(func(_ uuid.UUID, _ string, err error) {
				log.write(fmt.Sprintf("lost: %v", errors.Is(err, redlock.ErrLost)))
			})))
		r.Start()
		time.Sleep(11 * time.Second)
		r.cut(true)
		time.Sleep(5 * time.Second)
		r.cut(false)
		time.Sleep(10 * time.Second)
		r.leave(t)
		want := []string{"20s: <nil>", "lost: true"}
		if !slices.Equal(log.entries, want) {
			t.Errorf("runs: %q, want %q", log.entries, want)
		}
	})
}

// A run that gocron gives up between Lock and the task does not affect the next.
func TestTask_given_up_before_it_began(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, start := newLedger(), time.Now()
		r := newFleet(t, 1, 0)[0]
		n := 0
		r.job(t, everySecond(), log.task("job", 0), log.refusals(), gocron.WithName("job"),
			gocron.WithEventListeners(gocron.BeforeJobRunsSkipIfBeforeFuncErrors(func(uuid.UUID, string) error {
				if n++; n == 1 {
					return errors.New("not now")
				}
				return nil
			})))
		r.Start()
		time.Sleep(3500 * time.Millisecond)
		r.leave(t)
		wantTicks(t, "job", log.of("job"), atSecond(start, 2, 3))
	})
}

// The package keeps nothing of a job that is gone.
//
// Seen to fail when Unlock does not drop the run, and when forget keeps the jobState.
func TestLocker_keeps_nothing_of_a_removed_job(t *testing.T) {
	// The runtime keeps a timer that was stopped until it would have ended.
	l := newLocker(t, gocronadapter.WithJobOptions(redlock.WithTTL(200*time.Millisecond)))
	s := newGocron(t, gocron.WithDistributedLocker(l))
	if err := l.Attach(s); err != nil {
		t.Fatal(err)
	}
	s.Start()
	collected := addAndRemoveJob(t, s)
	for end := time.Now().Add(5 * time.Second); !collected.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the job's context is still referred to")
		}
		runtime.GC()
	}
	runtime.KeepAlive(l)
}

func addAndRemoveJob(t *testing.T, s gocron.Scheduler) *atomic.Bool {
	t.Helper()
	type key struct{}
	collected, value, done := new(atomic.Bool), new([1 << 10]byte), make(chan struct{})
	runtime.AddCleanup(value, func(b *atomic.Bool) { b.Store(true) }, collected)
	j, err := s.NewJob(gocron.OneTimeJob(gocron.OneTimeJobStartImmediately()),
		gocron.NewTask(func() {}), // not a Task: nobody takes the run
		gocron.WithName("job"), gocron.WithContext(context.WithValue(context.Background(), key{}, value)),
		gocron.WithEventListeners(gocron.AfterJobRuns(func(uuid.UUID, string) { close(done) })))
	if err != nil {
		t.Fatal(err)
	}
	<-done
	if err := s.RemoveJob(j.ID()); err != nil {
		t.Fatal(err)
	}
	return collected
}

// gocron cancels the job's context before it calls Unlock; the lock is released nevertheless.
//
// Seen to fail when Unlock returns the error of a context that has ended, and
// when Task hands on the lease's context alone.
func TestLocker_Unlock_with_cancelled_context(t *testing.T) {
	ends := map[string]func(r *replica) error{
		"RemoveJob":    func(r *replica) error { return r.RemoveJob(r.Jobs()[0].ID()) },
		"RemoveByTags": func(r *replica) error { r.RemoveByTags("tag"); return nil },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				servers := redlocktest.Servers(3)
				r := newReplica(t, lockerOn(t, servers, "a"), newClock(0))
				var cause error
				r.job(t, everySecond(), gocronadapter.Task(func(ctx context.Context) error {
					select {
					case <-ctx.Done():
					case <-time.After(10 * time.Second):
					}
					cause = context.Cause(ctx)
					return nil
				}), gocron.WithName("job"), gocron.WithTags("tag"))
				r.Start()
				time.Sleep(1500 * time.Millisecond)
				for _, s := range servers {
					if _, held := s.Get("job"); !held {
						t.Fatal("the job does not hold its lock")
					}
				}
				if err := end(r); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				for i, s := range servers {
					if token, held := s.Get("job"); held {
						t.Errorf("node %d still has the lock of %s", i, token)
					}
				}
				if !errors.Is(cause, context.Canceled) {
					t.Errorf("the task's context ended with %v", cause)
				}
				r.leave(t)
			})
		})
	}
}

// redlock's errors reach AfterLockError as they are.
func TestLocker_errors_reach_AfterLockError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, servers := newLedger(), redlocktest.Servers(3)
		var fleet []*replica
		for i, ahead := range []time.Duration{40 * time.Millisecond, 0} {
			r := newReplica(t, lockerOn(t, servers, fmt.Sprint(i)), newClock(ahead))
			r.job(t, everySecond(), log.task(fmt.Sprint("short", i), time.Millisecond), log.refusals(), gocron.WithName("short"))
			r.job(t, everySecond(), log.task(fmt.Sprint("long", i), 700*time.Millisecond), log.refusals(), gocron.WithName("long"))
			fleet = append(fleet, r)
		}
		for _, r := range fleet {
			r.Start()
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		done, taken := log.refusalsOf("short"), log.refusalsOf("long")
		if len(done) != 1 || !errors.Is(done[0], redlock.ErrTickDone) {
			t.Errorf("short job: %v, want ErrTickDone", done)
		}
		// The tick is known to have been granted, which says more than that it is running.
		if len(taken) != 1 || !errors.Is(taken[0], redlock.ErrTickDone) && !errors.Is(taken[0], redlock.ErrTaken) {
			t.Errorf("long job: %v", taken)
		}
		var details *redlock.Error
		if !errors.As(done[0], &details) || details.Name != "short" || details.Tick.IsZero() {
			t.Errorf("details: %+v", details)
		}
		fleet[1].cut(true)
		time.Sleep(5 * time.Second) // a claim asks for six node timeouts, 3 s
		synctest.Wait()
		cut := log.refusalsOf("short")
		if last := cut[len(cut)-1]; !errors.Is(last, redlock.ErrNoQuorum) {
			t.Errorf("cut off: %v, want ErrNoQuorum", last)
		}
		fleet[1].cut(false)
		for _, r := range fleet {
			r.leave(t)
		}
	})
}

// Contexts that no Task made have no lease.
func TestLeaseFrom_foreign_context(t *testing.T) {
	if lease, ok := redlock.LeaseFrom(t.Context()); ok || lease != nil {
		t.Errorf("lease %v", lease)
	}
	if tick, ok := redlock.TickFrom(t.Context()); ok || !tick.IsZero() {
		t.Errorf("tick %v", tick)
	}
}
