package gocronadapter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/internal/adaptertest"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// events is an observer's record. It is safe for concurrent use.
type events struct {
	mu  sync.Mutex
	all []redlock.Event
}

func (e *events) observe(event redlock.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

// of returns the events whose error matches.
func (e *events) of(kind redlock.EventKind, err error) []redlock.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(e.all), func(e redlock.Event) bool { return e.Kind != kind || !errors.Is(e.Err, err) })
}

func observed(t *testing.T) (*events, *redlock.Locker) {
	t.Helper()
	e := new(events)
	return e, newRedlock(t, redlock.WithObserver(e.observe))
}

// attached makes a plain gocron scheduler that uses the locker.
func attached(t *testing.T, locker *redlock.Locker) gocron.Scheduler {
	t.Helper()
	l, err := gocronadapter.NewLocker(locker)
	if err != nil {
		t.Fatal(err)
	}
	s := newGocron(t, gocron.WithDistributedLocker(l))
	if err := l.Attach(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// A run that this package refuses is an event, and by default a line of the log.
//
// Seen to fail when answer does not report.
func TestLocker_refusals_are_events(t *testing.T) {
	closure := gocron.NewTask(func() {})
	for name, c := range map[string]struct {
		want error
		set  func(t *testing.T, l *redlock.Locker) gocron.Scheduler
	}{
		"closure": {gocronadapter.ErrJobName, func(t *testing.T, l *redlock.Locker) gocron.Scheduler {
			s := attached(t, l)
			mustJob(t, s, closure)
			return s
		}},
		"two jobs, one name": {gocronadapter.ErrJobName, func(t *testing.T, l *redlock.Locker) gocron.Scheduler {
			s := attached(t, l)
			mustJob(t, s, closure, gocron.WithName("x"))
			mustJob(t, s, closure, gocron.WithName("x"))
			return s
		}},
		"another scheduler attached": {gocronadapter.ErrNoTick, func(t *testing.T, l *redlock.Locker) gocron.Scheduler {
			adapter, err := gocronadapter.NewLocker(l)
			if err != nil {
				t.Fatal(err)
			}
			if err := adapter.Attach(newGocron(t)); err != nil {
				t.Fatal(err)
			}
			s := newGocron(t, gocron.WithDistributedLocker(adapter))
			mustJob(t, s, closure, gocron.WithName("x"))
			return s
		}},
		"take-over, not attached": {gocronadapter.ErrNoTick, func(t *testing.T, l *redlock.Locker) gocron.Scheduler {
			adapter, err := gocronadapter.NewLocker(l, gocronadapter.WithJobOptions(redlock.WithTakeover()))
			if err != nil {
				t.Fatal(err)
			}
			s := newGocron(t, gocron.WithDistributedLocker(adapter))
			mustJob(t, s, closure, gocron.WithName("x"))
			return s
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events, l := observed(t)
				s := c.set(t, l)
				s.Start()
				time.Sleep(1500 * time.Millisecond)
				got := events.of(redlock.Refused, c.want)
				if len(got) == 0 || got[0].Name == "" || got[0].At.IsZero() || got[0].Level() < slog.LevelWarn {
					t.Errorf("events %v, want a refusal that matches %v, has a name, and is logged by default", got, c.want)
				}
			})
		})
	}
}

func mustJob(t *testing.T, s gocron.Scheduler, task gocron.Task, opts ...gocron.JobOption) {
	t.Helper()
	if _, err := s.NewJob(everySecond(), task, opts...); err != nil {
		t.Fatal(err)
	}
}

// A job that never runs leaves at least one line in the log, without any observer.
func TestLocker_refusals_are_logged(t *testing.T) {
	var buffer bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&buffer, nil)))
	synctest.Test(t, func(t *testing.T) {
		l := newRedlock(t)
		s := attached(t, l)
		mustJob(t, s, gocron.NewTask(func() {}))
		s.Start()
		time.Sleep(1500 * time.Millisecond)
		if err := l.Close(t.Context()); err != nil { // which waits for the observer
			t.Error(err)
		}
	})
	if text := buffer.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "WithName") {
		t.Errorf("logged %q, want the refusal and its cure", text)
	}
}

// A job that opted out of locking may have any name: none, or another job's.
//
// Seen to fail when lockerFor does not ask whether gocron locks the job.
func TestNewScheduler_job_that_opted_out(t *testing.T) {
	for name, opts := range map[string][]gocron.JobOption{
		"its own":      {gocron.WithDisabledDistributedJobLocker(true)},
		"a singleton":  {gocron.WithDisabledDistributedJobLocker(true), gocron.WithSingletonMode(gocron.LimitModeWait)},
		"another name": {gocron.WithDisabledDistributedJobLocker(true), gocron.WithName("taken")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events, l := observed(t)
				s, err := gocronadapter.NewScheduler(l)
				if err != nil {
					t.Fatal(err)
				}
				mustJob(t, s, gocron.NewTask(func() {}), gocron.WithName("taken"))
				var runs atomic.Int32
				mustJob(t, s, gocron.NewTask(func() { runs.Add(1) }), opts...)
				time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1500 * time.Millisecond))) // gocron's Shutdown in NewJob may take a while
				s.Start()
				time.Sleep(2 * time.Second)
				if refused := events.of(redlock.Refused, gocronadapter.ErrJobName); runs.Load() != 2 || len(s.Jobs()) != 2 || len(refused) != 0 {
					t.Errorf("%d runs, %d jobs, refused %v", runs.Load(), len(s.Jobs()), refused)
				}
				if _, err := s.NewJob(everySecond(), gocron.NewTask(func() {}), gocron.WithDisabledDistributedJobLocker(false)); !errors.Is(err, gocronadapter.ErrJobName) {
					t.Errorf("a job that did not opt out: %v", err)
				}
				closeAll(t, l, s)
			})
		})
	}
}

// A name that no lock can have is refused by NewJob, unless the job opted out of locking.
//
// Seen to fail when lockerFor does not ask redlock: the name was refused only at each tick.
func TestNewScheduler_name_of_no_lock(t *testing.T) {
	for _, name := range []string{"a{b", "{}", "}", strings.Repeat("x", 1025)} {
		synctest.Test(t, func(t *testing.T) {
			l, s := newScheduler(t)
			j, err := s.NewJob(everySecond(), gocron.NewTask(func() {}), gocron.WithName("good"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.NewJob(everySecond(), gocron.NewTask(func() {}), gocron.WithName(name)); !errors.Is(err, redlock.ErrInvalid) {
				t.Errorf("NewJob: %v, want ErrInvalid", err)
			}
			if _, err := s.Update(j.ID(), everySecond(), gocron.NewTask(func() {}), gocron.WithName(name)); !errors.Is(err, redlock.ErrInvalid) || len(s.Jobs()) != 1 {
				t.Errorf("Update: %v, want ErrInvalid; %d jobs, want the one that was there", err, len(s.Jobs()))
			}
			mustJob(t, s, gocron.NewTask(func() {}), gocron.WithName(name), gocron.WithDisabledDistributedJobLocker(true))
			closeAll(t, l, s)
		})
	}
}

// The same for all jobs of a scheduler.
func TestNewScheduler_all_jobs_opted_out(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := newScheduler(t, gocronadapter.WithSchedulerOptions(gocron.WithGlobalJobOptions(gocron.WithDisabledDistributedJobLocker(true))))
		mustJob(t, s, gocron.NewTask(func() {}))
		closeAll(t, l, s)
	})
}

// Two schedulers of one process on one Locker would share the ticks of a name.
// Once the first has ended, or its job, the name is free.
//
// Seen to fail when names are not reserved, and when they are not released.
func TestNewScheduler_name_of_another_scheduler(t *testing.T) {
	for name, end := range map[string]func(s gocron.Scheduler, j gocron.Job) error{
		"Shutdown":     func(s gocron.Scheduler, _ gocron.Job) error { return s.Shutdown() },
		"RemoveJob":    func(s gocron.Scheduler, j gocron.Job) error { return s.RemoveJob(j.ID()) },
		"RemoveByTags": func(s gocron.Scheduler, _ gocron.Job) error { s.RemoveByTags("tag"); return nil },
		"Update": func(s gocron.Scheduler, j gocron.Job) error {
			_, err := s.Update(j.ID(), everySecond(), gocron.NewTask(func() {}), gocron.WithName("y"))
			return err
		},
		"limited runs": func(s gocron.Scheduler, _ gocron.Job) error { s.Start(); time.Sleep(2 * time.Second); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, first := newScheduler(t)
				second, err := gocronadapter.NewScheduler(l)
				if err != nil {
					t.Fatal(err)
				}
				opts := []gocron.JobOption{gocron.WithName("x"), gocron.WithTags("tag"), gocron.WithLimitedRuns(1)}
				j, err := first.NewJob(everySecond(), gocron.NewTask(func() {}), opts...)
				if err != nil {
					t.Fatal(err)
				}
				_, err = second.NewJob(everySecond(), gocron.NewTask(func() {}), opts...)
				if !errors.Is(err, gocronadapter.ErrJobName) || !strings.Contains(err.Error(), j.ID().String()) {
					t.Errorf("%v, want ErrJobName that names job %v", err, j.ID())
				}
				if err := end(first, j); err != nil {
					t.Error(err)
				}
				if _, err = second.NewJob(everySecond(), gocron.NewTask(func() {}), opts...); err != nil {
					t.Errorf("after the end of the first: %v", err)
				}
				closeAll(t, l, second)
				_ = first.Shutdown()
			})
		})
	}
}

// With Attach, the second job is refused and reported at each run.
func TestLocker_name_of_another_scheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, l := observed(t)
		var counts [2]atomic.Int32
		for i := range counts {
			s := attached(t, l)
			mustJob(t, s, gocron.NewTask(func() { counts[i].Add(1) }), gocron.WithName("x"))
			s.Start()
			time.Sleep(time.Second)
		}
		time.Sleep(9500 * time.Millisecond)
		runs := [2]int32{counts[0].Load(), counts[1].Load()}
		if min(runs[0], runs[1]) != 0 || max(runs[0], runs[1]) < 10 || len(events.of(redlock.Refused, gocronadapter.ErrJobName)) < 9 {
			t.Errorf("runs %v, %d refusals", runs, len(events.of(redlock.Refused, gocronadapter.ErrJobName)))
		}
	})
}

// One replica drains and vetoes its runs, and its clock is ahead. Under take-over
// every tick runs on the other one. At most once, an event says that nobody runs it.
//
// Seen to fail when Unlock does not ask whether the task began.
func TestTask_vetoed(t *testing.T) {
	for name, takeover := range map[string]bool{"at least once": true, "at most once": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testVetoed(t, takeover) })
		})
	}
}

func testVetoed(t *testing.T, takeover bool) {
	log, start, events := newLedger(), time.Now(), new(events)
	locker := []redlock.LockerOption{redlock.WithObserver(events.observe)}
	if takeover {
		locker = append(locker, redlock.WithTakeover())
	}
	servers := redlocktest.Servers(3)
	fleet := make([]*replica, 2)
	for i, ahead := range []time.Duration{5 * time.Millisecond, 0} {
		fleet[i] = newSchedulerOn(t, lockerOn(t, servers, fmt.Sprint(i), locker...), gocronadapter.WithClock(newClock(ahead)), gocronadapter.WithJobOptions(redlock.WithSpread(0)))
		opts := []gocron.JobOption{gocron.WithName("job")}
		if i == 0 {
			veto := func(uuid.UUID, string) error { return errors.New("draining") }
			opts = append(opts, gocron.WithEventListeners(gocron.BeforeJobRunsSkipIfBeforeFuncErrors(veto)))
		}
		fleet[i].job(t, everySecond(), log.task("job", 10*time.Millisecond), opts...)
		fleet[i].Start()
	}
	time.Sleep(20*time.Second + 500*time.Millisecond)
	want := 0
	if takeover {
		want = 20
	}
	if got := log.tally(t, "job", start.Add(time.Second), start.Add(20*time.Second), time.Second); got[1] != want {
		t.Errorf("ticks by runs: %v, want %d once", got, want)
	}
	vetoes := events.of(redlock.Refused, gocronadapter.ErrVetoed)
	if len(vetoes) < 20 || vetoes[0].Tick.IsZero() || vetoes[0].Name != "job" {
		t.Errorf("%d events of vetoes, want 20: %v", len(vetoes), vetoes)
	}
	leaveAll(t, fleet)
}

// An attached Locker learns from the first run of a Task that the job's task is one.
//
// Seen to fail when Unlock does not note that a Task has begun.
func TestLocker_Attach_vetoed_after_a_run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, l := observed(t)
		adapter, err := gocronadapter.NewLocker(l)
		if err != nil {
			t.Fatal(err)
		}
		s := newGocron(t, gocron.WithDistributedLocker(adapter))
		if err := adapter.Attach(s); err != nil {
			t.Fatal(err)
		}
		asked := 0
		veto := func(uuid.UUID, string) error {
			if asked++; asked == 2 {
				return nil
			}
			return errors.New("draining")
		}
		mustJob(t, s, gocronadapter.Task(func(context.Context) error { return nil }), gocron.WithName("x"),
			gocron.WithEventListeners(gocron.BeforeJobRunsSkipIfBeforeFuncErrors(veto)))
		s.Start()
		time.Sleep(3500 * time.Millisecond)
		if n := len(events.of(redlock.Refused, gocronadapter.ErrVetoed)); asked != 3 || n != 1 {
			t.Errorf("%d events for %d runs of which the first and the third were vetoed, want 1 for the third", n, asked)
		}
		closeAll(t, l, s)
	})
}

// A plain function does not say that it has begun, so its run does not count as vetoed.
func TestNewScheduler_plain_task_is_not_vetoed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, l := observed(t)
		s, err := gocronadapter.NewScheduler(l)
		if err != nil {
			t.Fatal(err)
		}
		mustJob(t, s, gocron.NewTask(func(context.Context) {}), gocron.WithName("x"))
		s.Start()
		time.Sleep(2500 * time.Millisecond)
		if n := len(events.of(redlock.Refused, gocronadapter.ErrVetoed)); n != 0 {
			t.Errorf("%d vetoes", n)
		}
		closeAll(t, l, s)
	})
}

// gocron hangs when Lock takes longer than the gap between two dates.
func TestNewScheduler_dates_too_close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, l := observed(t)
		s, err := gocronadapter.NewScheduler(l)
		if err != nil {
			t.Fatal(err)
		}
		for name, gap := range map[string]time.Duration{"close": 10 * time.Millisecond, "far": time.Minute} {
			at := time.Now().Add(time.Hour)
			d := gocron.OneTimeJob(gocron.OneTimeJobStartDateTimes(at, at.Add(gap)))
			if _, err := s.NewJob(d, gocron.NewTask(func() {}), gocron.WithName(name)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		got := events.of(gocronadapter.Warning, gocronadapter.ErrSchedule)
		if len(got) != 1 || got[0].Name != "close" || got[0].Level() != slog.LevelWarn {
			t.Errorf("warnings %v, want one at level warn", got)
		}
		closeAll(t, l, s)
	})
}

// Replicas with different TZ run a schedule at different instants.
//
// Seen to fail when checkZone warns each time, when it does not look at CRON_TZ, and when it takes a TZ that Go cannot read for UTC.
func TestNewScheduler_local_time_zone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if !adaptertest.InOwnProcess(t) {
		return
	}
	for name, c := range map[string]struct {
		local *time.Location
		tz    string
		opts  []gocron.SchedulerOption
		job   func() gocron.JobDefinition
		want  int
	}{
		"local":         {berlin, "", nil, everySecond, 1},
		"UTC":           {time.UTC, "UTC", nil, everySecond, 0},
		"unreadable":    {time.FixedZone("UTC", 0), "CET-1CEST", nil, everySecond, 1},
		"a file":        {time.FixedZone("UTC", 0), "/etc/localtime", nil, everySecond, 0},
		"WithLocation":  {berlin, "", []gocron.SchedulerOption{gocron.WithLocation(time.UTC)}, everySecond, 0},
		"CRON_TZ":       {berlin, "", nil, func() gocron.JobDefinition { return gocron.CronJob("CRON_TZ=UTC * * * * * *", true) }, 0},
		"duration":      {berlin, "", nil, func() gocron.JobDefinition { return gocron.DurationJob(time.Second) }, 0},
		"daily at once": {berlin, "", nil, func() gocron.JobDefinition { return gocron.DailyJob(1, gocron.NewAtTimes(gocron.NewAtTime(1, 0, 0))) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			time.Local = c.local
			t.Setenv("TZ", c.tz)
			synctest.Test(t, func(t *testing.T) {
				events, l := observed(t)
				s, err := gocronadapter.NewScheduler(l, gocronadapter.WithSchedulerOptions(c.opts...))
				if err != nil {
					t.Fatal(err)
				}
				for i := range 2 {
					if _, err := s.NewJob(c.job(), gocron.NewTask(func() {}), gocron.WithName(fmt.Sprint(i))); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if got := events.of(gocronadapter.Warning, gocronadapter.ErrSchedule); len(got) != c.want {
					t.Errorf("warnings %v, want %d", got, c.want)
				}
				closeAll(t, l, s)
			})
		})
	}
}
