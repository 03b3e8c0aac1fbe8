package gocronadapter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/jonboulle/clockwork"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// mode is one of gocron's modes of running jobs.
type mode struct {
	scheduler []gocron.SchedulerOption
	job       []gocron.JobOption
}

func modes() map[string]mode {
	limit := func(m gocron.LimitMode) mode {
		return mode{scheduler: []gocron.SchedulerOption{gocron.WithLimitConcurrentJobs(1, m)}}
	}
	singleton := func(m gocron.LimitMode) mode { return mode{job: []gocron.JobOption{gocron.WithSingletonMode(m)}} }
	return map[string]mode{
		"plain":                {},
		"singleton reschedule": singleton(gocron.LimitModeReschedule),
		"singleton wait":       singleton(gocron.LimitModeWait),
		"limit reschedule":     limit(gocron.LimitModeReschedule),
		"limit wait":           limit(gocron.LimitModeWait),
		"both wait":            {limit(gocron.LimitModeWait).scheduler, singleton(gocron.LimitModeWait).job},
	}
}

// starting is a job that starts at once.
type starting struct {
	job    func() gocron.JobDefinition
	opts   []gocron.JobOption
	runNow bool
}

func startings() map[string]starting {
	now := []gocron.JobOption{gocron.WithStartAt(gocron.WithStartImmediately())}
	hourly := func() gocron.JobDefinition { return gocron.CronJob("0 * * * *", false) }
	daily := func() gocron.JobDefinition {
		return gocron.DailyJob(1, gocron.NewAtTimes(gocron.NewAtTime(12, 0, 0)))
	}
	return map[string]starting{
		"one time": {job: func() gocron.JobDefinition { return gocron.OneTimeJob(gocron.OneTimeJobStartImmediately()) }},
		"cron":     {job: hourly, opts: now},
		"daily":    {job: daily, opts: now},
		"RunNow":   {job: hourly, runNow: true},
		"RunNow of a one-time job": {job: func() gocron.JobDefinition {
			return gocron.OneTimeJob(gocron.OneTimeJobStartDateTime(time.Now().Add(time.Hour)))
		}, runNow: true},
	}
}

// A run that starts at once runs in every mode, on each replica, and takes no tick.
//
// Seen to fail when acquire refuses all runs without a tick.
func TestNewScheduler_starts_at_once(t *testing.T) {
	for modeName, m := range modes() {
		for startName, s := range startings() {
			for _, replicas := range []int{1, 3} {
				t.Run(fmt.Sprint(modeName, "/", startName, "/", replicas), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { testStartsAtOnce(t, m, s, replicas) })
				})
			}
		}
	}
}

func testStartsAtOnce(t *testing.T, m mode, s starting, replicas int) {
	time.Sleep(700 * time.Millisecond) // not on a whole second
	log := newLedger()
	fleet := newSchedulers(t, []gocronadapter.Option{gocronadapter.WithSchedulerOptions(m.scheduler...)}, make([]time.Duration, replicas)...)
	for i, r := range fleet {
		if i%2 == 0 {
			r.Start()
		}
		j := r.job(t, s.job(), log.task("job", 20*time.Millisecond), slices.Concat(s.opts, m.job, []gocron.JobOption{log.refusals(), gocron.WithName("job")})...)
		if i%2 == 1 {
			r.Start()
		}
		if s.runNow {
			if err := j.RunNow(); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
	}
	wantTicks(t, "job", log.of("job"), make([]time.Time, replicas))
	log.refusedFor(t, "job")
	leaveAll(t, fleet)
}

// A start at once after each Start: neither the ticks that came during a stop nor the next one is mistaken for it.
//
// Seen to fail when findStart takes the first pending tick, and when it does not pass over the ticks that were left over.
func TestNewScheduler_starts_at_once_again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, start, fleet := newLedger(), time.Now(), newSchedulers(t, nil, 0, 0)
		for _, r := range fleet {
			r.job(t, gocron.CronJob("* * * * *", false), log.task("job", 0), gocron.WithName("job"), gocron.WithStartAt(gocron.WithStartImmediately()))
		}
		for _, stop := range []time.Duration{30 * time.Second, 10 * time.Second, 2 * time.Minute} {
			time.Sleep(stop)
			for _, r := range fleet {
				r.Start()
				time.Sleep(time.Second)
			}
			if stop != 30*time.Second { // the first time no tick comes before the next stop
				time.Sleep(2 * time.Minute)
			}
			for _, r := range fleet {
				if err := r.StopJobs(); err != nil {
					t.Error(err)
				}
			}
		}
		// gocron skips 00:01, which was pending at the first stop.
		wantTicks(t, "job", log.of("job"), append(make([]time.Time, 6), atSecond(start, 120, 300, 360)...))
		leaveAll(t, fleet)
	})
}

// A start at once that waits behind another job, while a regular tick comes due: both run.
func TestNewScheduler_start_at_once_waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, start := newLedger(), time.Now()
		fleet := newSchedulers(t, []gocronadapter.Option{gocronadapter.WithSchedulerOptions(gocron.WithLimitConcurrentJobs(1, gocron.LimitModeWait))}, 0)
		fleet[0].Start()
		time.Sleep(500 * time.Millisecond)
		fleet[0].job(t, gocron.OneTimeJob(gocron.OneTimeJobStartImmediately()), log.task("hog", 1200*time.Millisecond), gocron.WithName("hog"))
		fleet[0].job(t, gocron.CronJob("*/5 * * * * *", true), log.task("job", 0), log.refusals(), gocron.WithName("job"), gocron.WithStartAt(gocron.WithStartImmediately()))
		time.Sleep(4 * time.Second)
		fleet[0].job(t, gocron.OneTimeJob(gocron.OneTimeJobStartImmediately()), log.task("hog", 1200*time.Millisecond), gocron.WithName("hog 2"))
		fleet[0].job(t, gocron.CronJob("*/5 * * * * *", true), log.task("job 2", 0), log.refusals(), gocron.WithName("job 2"), gocron.WithStartAt(gocron.WithStartImmediately()))
		time.Sleep(3 * time.Second)
		for _, job := range []string{"job", "job 2"} {
			wantTicks(t, job, log.of(job), append([]time.Time{{}}, atSecond(start, 5)...))
			log.refusedFor(t, job)
		}
		leaveAll(t, fleet)
	})
}

// halves is a gocron.Cron whose ticks are common to all replicas, on half seconds.
type halves struct{}

func (halves) IsValid(string, *time.Location, time.Time) error { return nil }
func (halves) Next(last time.Time) time.Time {
	return last.Add(500 * time.Millisecond).Truncate(time.Second).Add(500 * time.Millisecond)
}

// A tick that has a fraction of a second is a tick.
//
// Seen to fail when a first tick with a fraction is taken for a start at once:
// one run on each replica.
func TestNewScheduler_first_tick_with_a_fraction(t *testing.T) {
	for name, of := range map[string]func(start time.Time) (gocron.JobDefinition, gocron.JobOption){
		"start date": func(start time.Time) (gocron.JobDefinition, gocron.JobOption) {
			return gocron.CronJob("0 * * * * *", true), gocron.WithStartAt(gocron.WithStartDateTime(start.Add(2250 * time.Millisecond)))
		},
		"cron": func(time.Time) (gocron.JobDefinition, gocron.JobOption) {
			return gocron.CronJob("halves", true), gocron.WithCronImplementation(halves{})
		},
		"one time": func(start time.Time) (gocron.JobDefinition, gocron.JobOption) {
			return gocron.OneTimeJob(gocron.OneTimeJobStartDateTime(start.Add(2250 * time.Millisecond))), gocron.WithTags("x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, start := newLedger(), time.Now()
				fleet := newSchedulers(t, nil, 0, 0, 0)
				for _, r := range fleet {
					d, o := of(start)
					r.job(t, d, log.task("job", 0), log.refusals(), gocron.WithName("job"), o)
					r.Start()
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(20 * time.Second)
				leaveAll(t, fleet)
				ticks := log.of("job")
				if shortest, _ := gaps(ticks); shortest == 0 || len(ticks) == 0 || ticks[0].IsZero() {
					t.Errorf("ran for %v, want each tick once", ticks)
				}
			})
		})
	}
}

// In reschedule mode gocron drops ticks. A later RunNow is not mistaken for a run
// that waited in a queue for one of them.
//
// Seen to fail when noteQueued never begins anew: two are refused.
func TestLocker_RunNow_unannounced_after_dropped_ticks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLedger()
		r := newFleet(t, 1, 0)[0]
		var works atomic.Int64
		works.Store(int64(3500 * time.Millisecond))
		j := r.job(t, gocron.CronJob("* * * * * *", true), gocronadapter.Task(func(ctx context.Context) error {
			tick, _ := redlock.TickFrom(ctx)
			log.begin("job", tick)
			defer log.end("job")
			time.Sleep(time.Duration(works.Swap(0)))
			return nil
		}), log.refusals(), gocron.WithName("job"), gocron.WithSingletonMode(gocron.LimitModeReschedule))
		r.Start()
		time.Sleep(8*time.Second + 300*time.Millisecond) // 1, 5 for what was dropped, 6, 7, 8
		for range 3 {
			if err := j.RunNow(); err != nil {
				t.Error(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := log.withoutTick("job"); n != 3 {
			t.Errorf("%d of 3 RunNows ran", n)
		}
		log.refusedFor(t, "job")
		r.leave(t)
	})
}

// Ticks hardly more than a millisecond apart: each run takes its own.
//
// Seen to fail when choose looks ahead first: the second tick runs in place of the first.
func TestNewScheduler_ticks_a_millisecond_apart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, start := newLedger(), time.Now()
		c := newClock(0)
		c.late = func() time.Duration { return time.Millisecond }
		fleet := []*replica{newSchedulerOn(t, lockerOn(t, redlocktest.Servers(1), "a"), gocronadapter.WithClock(c), gocronadapter.WithJobOptions(redlock.WithSpread(0)))}
		dates := []time.Time{start.Add(time.Second), start.Add(time.Second + 2*time.Millisecond)}
		fleet[0].job(t, gocron.OneTimeJob(gocron.OneTimeJobStartDateTimes(dates...)), log.task("job", 0), log.refusals(), gocron.WithName("job"))
		fleet[0].Start()
		time.Sleep(2 * time.Second)
		wantTicks(t, "job", log.of("job"), dates)
		log.refusedFor(t, "job")
		leaveAll(t, fleet)
	})
}

// RunNow of a stopped scheduler is refused, and the next Start works.
//
// Seen to fail when it reaches gocron: its next Start hangs.
func TestNewScheduler_RunNow_when_stopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, l := newLedger(), lockerOn(t, redlocktest.Servers(1), "a")
		r := newSchedulerOn(t, l, gocronadapter.WithClock(newClock(0)))
		j := r.job(t, gocron.CronJob("* * * * *", false), log.task("job", 0), gocron.WithName("job"))
		for range 2 {
			if err := j.RunNow(); !errors.Is(err, gocron.ErrJobRunNowFailed) {
				t.Errorf("%v, want ErrJobRunNowFailed", err)
			}
			r.Start()
			if err := j.RunNow(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute + time.Second)
			if err := r.StopJobs(); err != nil {
				t.Error(err)
			}
		}
		if n := len(log.of("job")); n != 4 || log.withoutTick("job") != 2 {
			t.Errorf("runs %v, want a tick and a RunNow of each start", log.of("job"))
		}
		r.leave(t)
	})
}

// gated is a clock whose Now blocks once.
type gated struct {
	*clock
	gate atomic.Pointer[chan struct{}]
}

func (g *gated) Now() time.Time {
	if c := g.gate.Swap(nil); c != nil {
		<-*c
	}
	return g.clock.Now()
}

// RunNow may be called while the scheduler starts.
//
// Seen to fail, with a Start that never returns, when RunNow reaches gocron before Start does.
func TestNewScheduler_RunNow_during_Start(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c, open, up := newLedger(), &gated{clock: newClock(0)}, make(chan struct{}), make(chan struct{})
		r := newSchedulerOn(t, lockerOn(t, redlocktest.Servers(1), "a"), gocronadapter.WithClock(c))
		j := r.job(t, gocron.CronJob("* * * * *", false), log.task("job", 0), gocron.WithName("job"))
		c.gate.Store(&open)
		go func() {
			r.Start()
			close(up)
		}()
		synctest.Wait()
		time.AfterFunc(100*time.Millisecond, func() { close(open) })
		if err := j.RunNow(); err != nil {
			t.Error(err)
		}
		select {
		case <-up:
		case <-time.After(time.Minute):
			t.Fatal("Start hangs")
		}
		time.Sleep(time.Second)
		if log.withoutTick("job") != 1 {
			t.Errorf("runs %v, want a RunNow", log.of("job"))
		}
		leaveAll(t, []*replica{r})
	})
}

// gocron keeps the tick that was pending when it stopped. A RunNow after the next Start does not take that tick.
//
// Seen to fail when ticks from before the start count: where another replica has run it the RunNow is refused, else it has the tick.
func TestNewScheduler_RunNow_after_restart(t *testing.T) {
	for name, alone := range map[string]bool{"alone": true, "beside another replica": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, fleet := newLedger(), newSchedulers(t, nil, 0, 0)
				var jobs []gocron.Job
				for _, r := range fleet {
					jobs = append(jobs, r.job(t, gocron.CronJob("* * * * *", false), log.task("job", 0), gocron.WithName("job")))
					if !alone || r == fleet[0] {
						r.Start()
					}
				}
				time.Sleep(5*time.Minute + 30*time.Second)
				if err := fleet[0].StopJobs(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				fleet[0].Start()
				if err := jobs[0].RunNow(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				if n := log.withoutTick("job"); n != 1 {
					t.Errorf("%d runs without a tick of %v, want that of RunNow", n, log.of("job"))
				}
				leaveAll(t, fleet)
			})
		})
	}
}

// A one-time job that is over does not prevent the next Start.
//
// Seen to fail when it is left to gocron: Start does not return.
func TestNewScheduler_restart_after_one_time_job(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, start := newLedger(), time.Now()
		var warned atomic.Int32
		l := lockerOn(t, redlocktest.Servers(1), "a", redlock.WithObserver(func(e redlock.Event) {
			if e.Kind == gocronadapter.Warning && errors.Is(e.Err, gocronadapter.ErrSchedule) {
				warned.Add(1)
			}
		}))
		r := newSchedulerOn(t, l, gocronadapter.WithClock(newClock(0)), gocronadapter.WithJobOptions(redlock.WithSpread(0)))
		dates := []time.Time{start.Add(time.Minute), start.Add(time.Hour)}
		for name, d := range map[string]gocron.OneTimeJobStartAtOption{
			"over": gocron.OneTimeJobStartDateTime(dates[0]), "half over": gocron.OneTimeJobStartDateTimes(dates...), "now": gocron.OneTimeJobStartImmediately()} {
			r.job(t, gocron.OneTimeJob(d), log.task(name, 0), gocron.WithName(name))
		}
		r.Start()
		time.Sleep(2 * time.Minute)
		if err := r.StopJobs(); err != nil {
			t.Fatal(err)
		}
		r.Start()
		r.Start() // which does nothing
		time.Sleep(2 * time.Hour)
		wantTicks(t, "over", log.of("over"), dates[:1])
		wantTicks(t, "half over", log.of("half over"), dates)
		wantTicks(t, "now", log.of("now"), make([]time.Time, 2))
		if warned.Load() != 1 || len(r.Jobs()) != 2 {
			t.Errorf("%d warnings and %d jobs, want 1 and 2", warned.Load(), len(r.Jobs()))
		}
		leaveAll(t, []*replica{r})
	})
}

// A start at once is refused, not delayed, while another replica runs the job.
//
// Seen to fail when such a run waits for the lock.
func TestNewScheduler_starts_at_once_elsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLedger()
		fleet := newSchedulers(t, nil, 0, 0, 0)
		for _, r := range fleet {
			r.Start()
			r.job(t, gocron.OneTimeJob(gocron.OneTimeJobStartImmediately()), log.task("job", 10*time.Second), gocron.WithName("job"), log.refusals())
			time.Sleep(6 * time.Second) // the second begins while the first runs, the third when it has ended
		}
		time.Sleep(10 * time.Second)
		if n, refused := log.withoutTick("job"), log.refusedFor(t, "job", redlock.ErrTaken); n != 2 || refused[0] != 1 || log.overlap {
			t.Errorf("%d runs, %d refused, want 2 and 1", n, refused[0])
		}
		leaveAll(t, fleet)
	})
}

// gocron answers nothing while it stops, and it waits for the runs that are about to begin. They ask it for their ticks.
//
// Seen to fail when a run may ask while gocron stops, or, if the Locker is attached, waits for the answer: the stop timed out. And when
// the jobs that gocron lists after its shutdown count: there are none, so "the attached scheduler has no job".
func TestNewScheduler_stop_while_runs_begin(t *testing.T) {
	limit := gocron.WithStopTimeout(gocronTimeout * 9 / 10) // a busy machine may take half of that
	for i := range 40 {
		locker := lockerOn(t, redlocktest.Servers(1), "a", redlock.WithObserver(func(e redlock.Event) {
			if errors.Is(e.Err, gocronadapter.ErrNoTick) {
				t.Error(e.Err)
			}
		}))
		var r *replica
		if i%2 == 0 {
			r = newSchedulerOn(t, locker, gocronadapter.WithSchedulerOptions(limit))
		} else {
			r = newReplica(t, locker, clockwork.NewRealClock(), limit)
		}
		for i := range 300 {
			r.job(t, gocron.DurationJob(time.Hour), gocron.NewTask(func() {}), gocron.WithName(fmt.Sprint("job ", i)), gocron.WithStartAt(gocron.WithStartImmediately()))
		}
		r.Start()
		if err := r.Shutdown(); err != nil {
			t.Fatalf("stop %d: %v", i, err)
		}
		if err := r.locker.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// gocronTimeout is how long a question to a gocron that does not answer takes.
const gocronTimeout = time.Second
