package gocronadapter

import (
	"context"
	"slices"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// traits is what a job's definition and options say that gocron does not.
type traits struct {
	name         string
	startsAtOnce bool           // gocron.WithStartImmediately
	task         bool           // its task was made by Task
	otherLocker  bool           // it has a locker of its own
	announces    bool           // it is of NewScheduler, which announces its RunNows
	zone         *time.Location // of its scheduler, if that is known
}

// examiner finds out a job's traits from what gocron does with its options, by
// public means. Its scheduler was shut down: NewJob then does all that it does
// otherwise, but keeps no job.
type examiner struct {
	options []gocron.SchedulerOption
	still   gocron.Scheduler
	ended   context.Context
	zone    *time.Location // of the scheduler
}

func newExaminer(options []gocron.SchedulerOption) (*examiner, error) {
	e := &examiner{options: append(slices.Clip(options), gocron.WithLogger(noLogger{}), gocron.WithSchedulerMonitor(noMonitor{}),
		gocron.WithMonitor(noStatistics{}), gocron.WithMonitorStatus(noStatistics{}))}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.ended = ctx
	var err error
	if e.still, err = gocron.NewScheduler(e.options...); err != nil {
		return nil, err
	}
	if err := e.still.Shutdown(); err != nil {
		return nil, err
	}
	e.zone = e.findZone()
	return e, nil
}

// findZone returns the scheduler's time zone, in which a daily job has its times.
func (e *examiner) findZone() *time.Location {
	daily := gocron.DailyJob(1, gocron.NewAtTimes(gocron.NewAtTime(0, 0, 0)))
	j, err := e.still.NewJob(daily, noTask, gocron.WithContext(e.ended))
	if err != nil || j == nil {
		return nil
	}
	if s, ok := j.Schedule().(gocron.DailyJobSchedule); ok && len(s.AtTimes) > 0 {
		return s.AtTimes[0].Location()
	}
	return nil
}

var noTask = gocron.NewTask(func() {})

// examine returns gocron's error when it refuses the task or an option.
func (e *examiner) examine(task gocron.Task, opts []gocron.JobOption) (traits, error) {
	var t traits
	opts = append(slices.Clip(opts), gocron.WithContext(e.ended), seeLocker(&t.otherLocker))
	j, err := e.still.NewJob(gocron.DurationJob(1), task, opts...)
	if err != nil || j == nil {
		return t, err
	}
	t.name, t.task, t.announces, t.zone = j.Name(), isTask(task), true, e.zone
	return t, nil
}

// startsAtOnce reports whether the options start a job at once. It matters only for schedules whose other ticks are common.
func (e *examiner) startsAtOnce(schedule gocron.JobSchedule, opts []gocron.JobOption) bool {
	switch schedule.(type) {
	case gocron.CronJobSchedule, gocron.DailyJobSchedule, gocron.WeeklyJobSchedule, gocron.MonthlyJobSchedule:
		// gocron refuses a one-time job without dates, unless it starts at once.
		_, err := e.still.NewJob(gocron.OneTimeJob(gocron.OneTimeJobStartDateTimes()), noTask, append(slices.Clip(opts), gocron.WithContext(e.ended))...)
		return err == nil
	}
	return false
}

// locks reports whether gocron locks the runs of a job with these options, which
// gocron.WithDisabledDistributedJobLocker prevents. It starts one to see.
func (e *examiner) locks(opts []gocron.JobOption) bool {
	s, err := gocron.NewScheduler(e.options...)
	if err != nil {
		return true
	}
	defer func() { _ = s.Shutdown() }()
	asked, ran := make(chan struct{}, 1), make(chan struct{}, 1)
	tell := func(c chan struct{}) {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	opts = append(slices.Clip(opts), gocron.WithContext(ctx), gocron.WithStartAt(gocron.WithStartImmediately()), noListeners(),
		gocron.WithDistributedJobLocker(refuse(func() { tell(asked) })))
	if _, err = s.NewJob(gocron.DurationJob(patience), gocron.NewTask(func() { tell(ran) }), opts...); err != nil {
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
