package gocronadapter

import (
	"context"
	"slices"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// traits are facts about a job that its gocron.Job does not tell.
type traits struct {
	name              string
	startsImmediately bool           // gocron.WithStartImmediately
	task              bool           // made by Task
	otherLocker       bool           // it has a locker of its own
	announces         bool           // of NewScheduler, which announces each RunNow
	zone              *time.Location // of its scheduler, or nil if not known
}

// examiner finds out a job's traits from what gocron does with its options. NewJob
// of a scheduler that was shut down does everything as usual, but keeps no job.
type examiner struct {
	options  []gocron.SchedulerOption
	closed   gocron.Scheduler
	canceled context.Context
	zone     *time.Location // of the scheduler
}

func newExaminer(options []gocron.SchedulerOption) (*examiner, error) {
	e := &examiner{options: append(slices.Clip(options), gocron.WithLogger(noLogger{}), gocron.WithSchedulerMonitor(noMonitor{}),
		gocron.WithMonitor(noStatistics{}), gocron.WithMonitorStatus(noStatistics{}))}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.canceled = ctx
	var err error
	if e.closed, err = gocron.NewScheduler(e.options...); err != nil {
		return nil, err
	}
	if err := e.closed.Shutdown(); err != nil {
		return nil, err
	}
	e.zone = e.findZone()
	return e, nil
}

// findZone returns the scheduler's time zone, which a daily job's times are in, or nil.
func (e *examiner) findZone() *time.Location {
	daily := gocron.DailyJob(1, gocron.NewAtTimes(gocron.NewAtTime(0, 0, 0)))
	j, err := e.closed.NewJob(daily, noTask, gocron.WithContext(e.canceled))
	if err != nil || j == nil {
		return nil
	}
	if s, ok := j.Schedule().(gocron.DailyJobSchedule); ok && len(s.AtTimes) > 0 {
		return s.AtTimes[0].Location()
	}
	return nil
}

var noTask = gocron.NewTask(func() {})

// examine returns a job's traits, or gocron's error if it refuses the task or an option.
func (e *examiner) examine(task gocron.Task, opts []gocron.JobOption) (traits, error) {
	var t traits
	opts = append(slices.Clip(opts), gocron.WithContext(e.canceled), noteLocker(&t.otherLocker))
	j, err := e.closed.NewJob(gocron.DurationJob(1), task, opts...)
	if err != nil || j == nil {
		return t, err
	}
	t.name, t.task, t.announces, t.zone = j.Name(), isTask(task), true, e.zone
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
	s, err := gocron.NewScheduler(e.options...)
	if err != nil {
		return true
	}
	defer func() { _ = s.Shutdown() }()
	asked, ran := make(chan struct{}, 1), make(chan struct{}, 1)
	signal := func(c chan struct{}) {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	opts = append(slices.Clip(opts), gocron.WithContext(ctx), gocron.WithStartAt(gocron.WithStartImmediately()), noListeners(),
		gocron.WithDistributedJobLocker(refusingLocker(func() { signal(asked) })))
	if _, err = s.NewJob(gocron.DurationJob(answerTimeout), gocron.NewTask(func() { signal(ran) }), opts...); err != nil {
		return true
	}
	s.Start()
	select {
	case <-ran:
		return false
	case <-asked:
	case <-ctx.Done():
	}
	return true
}
