package gocronadapter

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
)

// traits are facts about a job that its gocron.Job does not tell.
type traits struct {
	name              string
	startsImmediately bool // gocron.WithStartImmediately
	task              bool // made by Task
	otherLocker       bool // it has a locker of its own
}

// examiner finds out a job's traits from what gocron does with its options. NewJob
// of a scheduler that was shut down does everything as usual, but keeps no job.
type examiner struct {
	options  []gocron.SchedulerOption
	closed   gocron.Scheduler
	canceled context.Context
	zone     *time.Location // of the scheduler, which a daily job's times are in, or nil
	trials   chan trial     // holds the trial while nobody uses it; closed by close
}

// trial is a running scheduler, without jobs, to try one on. It is used many times: while gocron stops a scheduler it spins, and if
// thousands of jobs did so at once, the process would do nothing else. It is renewed now and then, because gocron keeps a goroutine and
// 24 kB for each singleton job that has run.
type trial struct {
	gocron.Scheduler // nil before the first use
	clock            *clockwork.FakeClock
	uses             int
}

const maxUses = 100

func (t trial) shutdown() {
	if t.Scheduler != nil {
		_ = t.Shutdown() // has nothing to stop
	}
}

func (t trial) remove(j gocron.Job) { _ = t.RemoveJob(j.ID()) } // it may have ended by itself

// try calls f with the trial, or returns an error if ctx ends or the scheduler is shut down.
func (e *examiner) try(ctx context.Context, f func(trial) error) (err error) {
	var t trial
	select {
	case open, ok := <-e.trials:
		if !ok {
			return context.Canceled
		}
		t = open
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { e.trials <- t }()
	if t.uses++; t.Scheduler == nil || t.uses > maxUses {
		t.shutdown()
		t = trial{clock: clockwork.NewFakeClock(), uses: 1}
		if t.Scheduler, err = gocron.NewScheduler(append(slices.Clip(e.options), gocron.WithClock(t.clock))...); err != nil {
			return err
		}
		t.Start()
	}
	return f(t)
}

// close ends the trial.
func (e *examiner) close() {
	t, open := <-e.trials
	t.shutdown()
	if open {
		close(e.trials)
	}
}

func newExaminer(options []gocron.SchedulerOption) (*examiner, error) {
	e := &examiner{trials: make(chan trial, 1), options: append(slices.Clip(options), gocron.WithLogger(gocron.NewLogger(gocron.LogLevelError-1)), gocron.WithSchedulerMonitor(noMonitor{}),
		gocron.WithMonitor(noStatistics{}), gocron.WithMonitorStatus(noStatistics{}))}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.canceled = ctx
	e.trials <- trial{}
	var err error
	if e.closed, err = gocron.NewScheduler(e.options...); err != nil {
		return nil, err
	}
	_ = e.closed.Shutdown() // has nothing to stop
	daily := gocron.DailyJob(1, gocron.NewAtTimes(gocron.NewAtTime(0, 0, 0)))
	if j, err := e.closed.NewJob(daily, noTask, gocron.WithContext(ctx)); err == nil && j != nil {
		if s, ok := j.Schedule().(gocron.DailyJobSchedule); ok && len(s.AtTimes) > 0 {
			e.zone = s.AtTimes[0].Location()
		}
	}
	return e, nil
}

var noTask = gocron.NewTask(func() {})

// examine returns a job's traits, or gocron's error if it refuses the task or an option.
func (e *examiner) examine(task gocron.Task, opts []gocron.JobOption) (traits, error) {
	var t traits
	opts = append(slices.Clip(opts), gocron.WithContext(e.canceled), noteLocker(gocron.WithTags(), &t.otherLocker))
	j, err := e.closed.NewJob(gocron.DurationJob(1), task, opts...)
	if err != nil || j == nil {
		return t, err
	}
	t.name, t.task = j.Name(), isTask(task)
	return t, nil
}

// startsImmediately reports whether the options start a job at once, for schedules whose other ticks are common; else false.
func (e *examiner) startsImmediately(schedule gocron.JobSchedule, opts []gocron.JobOption) bool {
	switch schedule.(type) {
	case gocron.CronJobSchedule, gocron.DailyJobSchedule, gocron.WeeklyJobSchedule, gocron.MonthlyJobSchedule:
		// gocron refuses a one-time job without dates, unless it starts at once.
		_, err := e.closed.NewJob(gocron.OneTimeJob(gocron.OneTimeJobStartDateTimes()), noTask, append(slices.Clip(opts), gocron.WithContext(e.canceled))...)
		return err == nil
	}
	return false
}

// locks reports whether gocron locks the runs of a job with these options, which
// gocron.WithDisabledDistributedJobLocker prevents. It starts such a job to see.
func (e *examiner) locks(opts []gocron.JobOption) bool {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	locks := make(chan bool, 1)
	tell := func(yes bool) {
		select {
		case locks <- yes:
		default: // an earlier run has told
		}
	}
	opts = append(slices.Clip(opts), gocron.WithContext(ctx), gocron.WithStartAt(gocron.WithStartImmediately()), noListeners(),
		gocron.WithDistributedJobLocker(refusingLocker(func() { tell(true) })))
	answer := true
	_ = e.try(ctx, func(t trial) error {
		j, err := t.NewJob(gocron.DurationJob(1), gocron.NewTask(func() { tell(false) }), opts...) // a singleton's next run must come before its stop date
		if err != nil {
			return err
		}
		defer t.remove(j)
		for {
			select {
			case answer = <-locks:
				return nil
			case <-ctx.Done():
				return nil
			case <-time.After(queueGap):
				t.clock.Advance(1) // gocron drops a run when it is full, as it is until the one before has ended, and plans the next one
			}
		}
	})
	return answer
}

// ifUnset applies option unless this field of the job is set already, by
// gocron.WithGlobalJobOptions: gocron keeps one listener of each kind, and the
// job's own options, which include those of this package, override the global
// ones. gocron does not export its job type, but an option can look at the job. If
// the field does not exist, option is applied.
func ifUnset[J any](field string, option func(*J, time.Time) error) func(*J, time.Time) error {
	return func(j *J, now time.Time) error {
		if isSet(j, field) {
			return nil
		}
		return option(j, now)
	}
}

// noteLocker returns an option that sets found to whether an option before it gave the job a locker. Its first argument serves only to
// infer gocron's job type.
func noteLocker[J any](_ func(*J, time.Time) error, found *bool) func(*J, time.Time) error {
	return func(j *J, _ time.Time) error {
		*found = isSet(j, "locker")
		return nil
	}
}

func isSet(job any, field string) bool {
	v := reflect.ValueOf(job).Elem().FieldByName(field)
	return v.IsValid() && !v.IsZero()
}

// noListeners replaces the listeners of a job that is only examined.
func noListeners() gocron.JobOption {
	none := func(uuid.UUID, string) {}
	return gocron.WithEventListeners(
		gocron.BeforeJobRuns(none), gocron.AfterJobRuns(none),
		gocron.BeforeJobRunsSkipIfBeforeFuncErrors(func(uuid.UUID, string) error { return nil }),
		gocron.AfterJobRunsWithError(func(uuid.UUID, string, error) {}),
		gocron.AfterJobRunsWithPanic(func(uuid.UUID, string, any) {}),
		gocron.AfterLockError(func(uuid.UUID, string, error) {}),
	)
}

// refusingLocker is a gocron.Locker that grants nothing.
type refusingLocker func()

func (r refusingLocker) Lock(context.Context, string) (gocron.Lock, error) {
	r()
	return nil, errors.New("gocronadapter: examined only")
}

// noMonitor replaces the monitor of a scheduler that only examines jobs.
type noMonitor struct{}

func (noMonitor) SchedulerStarted()                                      {}
func (noMonitor) SchedulerStopped()                                      {}
func (noMonitor) SchedulerShutdown()                                     {}
func (noMonitor) JobRegistered(gocron.Job)                               {}
func (noMonitor) JobUnregistered(gocron.Job)                             {}
func (noMonitor) JobStarted(gocron.Job)                                  {}
func (noMonitor) JobRunning(gocron.Job)                                  {}
func (noMonitor) JobFailed(gocron.Job, error)                            {}
func (noMonitor) JobCompleted(gocron.Job)                                {}
func (noMonitor) JobExecutionTime(gocron.Job, time.Duration)             {}
func (noMonitor) JobSchedulingDelay(gocron.Job, time.Time, time.Time)    {}
func (noMonitor) ConcurrencyLimitReached(limitType string, j gocron.Job) {}

// noStatistics replaces the monitor that counts the runs of a scheduler's jobs.
type noStatistics struct{}

func (noStatistics) IncrementJob(uuid.UUID, string, []string, gocron.JobStatus)        {}
func (noStatistics) RecordJobTiming(_, _ time.Time, _ uuid.UUID, _ string, _ []string) {}
func (noStatistics) RecordJobTimingWithStatus(_, _ time.Time, _ uuid.UUID, _ string, _ []string, _ gocron.JobStatus, _ error) {
}
