package cronadapter

import (
	"context"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/redlock"
)

var (
	_ cron.Schedule = (*Job)(nil)
	_ cron.Job      = (*Job)(nil)
)

// Job is a function together with its schedule: what cron calls a Schedule and
// what it calls a Job. It belongs to one cron, which must get it as both. It is
// safe for concurrent use.
type Job struct {
	a     *Adapter
	name  string
	mutex *redlock.Job
	ticks recorder
	f     func(ctx context.Context) error
}

// NewJob is [Adapter.Add] for a schedule that is not a spec, or for a chain of
// this job's own. The caller adds it:
//
//	c.Schedule(job, job)
//	c.Schedule(job, cron.NewChain(cron.Recover(logger)).Then(job))
//
// The schedule must answer the same on every replica, with ticks at least a
// millisecond apart. A cron.ConstantDelaySchedule is treated as "@every".
func (a *Adapter) NewJob(name string, schedule cron.Schedule, job func(ctx context.Context) error, opts ...redlock.JobOption) (*Job, error) {
	switch {
	case job == nil:
		return nil, invalid("the function of job %q is nil", name)
	case schedule == nil:
		return nil, invalid("the schedule of job %q is nil; use Add for a spec, or parse it with cron.ParseStandard", name)
	}
	if every, ok := schedule.(cron.ConstantDelaySchedule); ok {
		if every.Delay <= 0 {
			return nil, invalid("the delay of job %q is %v, must be positive; make it with cron.Every", name, every.Delay)
		}
		if a.cfg.unaligned {
			opts = spaced(every, opts)
		} else {
			schedule = grid{every.Delay}
		}
	}
	m, err := a.newMutex(name, opts)
	if err != nil {
		return nil, err
	}
	return &Job{a: a, name: name, mutex: m, ticks: recorder{schedule: schedule, now: a.cfg.now}, f: job}, nil
}

// Next is the schedule's answer, for cron. Anybody may ask, also for instants
// far away.
func (j *Job) Next(t time.Time) time.Time { return j.ticks.next(t) }

// Run claims the newest tick that has come, and if this replica gets it runs
// the function, for cron.
func (j *Job) Run() {
	run := run{a: j.a, name: j.name, tick: j.ticks.tick()}
	run.under(j.mutex, j.f)
}

// newMutex makes the mutex of a name that no other job has.
func (a *Adapter) newMutex(name string, opts []redlock.JobOption) (*redlock.Job, error) {
	if err := a.reserve(name); err != nil {
		return nil, err
	}
	m, err := a.locker.NewJob(name, opts...)
	if err != nil {
		a.free(name)
		return nil, fmt.Errorf("cronadapter: job %q: %w", name, err)
	}
	return m, nil
}

// parse reads a spec. An error of the parser has the value and the rule.
func (a *Adapter) parse(spec string) (schedule cron.Schedule, err error) {
	defer func() {
		// cron's own parser panics on a time zone that no field follows.
		if r := recover(); r != nil {
			schedule, err = nil, invalid("spec %q cannot be parsed (%v); write fields or a descriptor after the time zone", spec, r)
		}
	}()
	schedule, err = a.cfg.parser.Parse(spec)
	switch {
	case err != nil:
		return nil, invalid("spec %q: %w; a cron with a parser of its own needs WithParser here too", spec, err)
	case schedule == nil || schedule.Next(time.Now()).IsZero():
		return nil, invalid("spec %q does not activate within five years; is there such a date?", spec)
	}
	return schedule, nil
}

// spaced puts the spacing of an unaligned schedule before the job's own options.
func spaced(every cron.ConstantDelaySchedule, opts []redlock.JobOption) []redlock.JobOption {
	return append([]redlock.JobOption{redlock.WithSpacing(every.Delay)}, opts...)
}
