package cronadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/internal/ticks"
	"github.com/redtick/redtick/redlock"
)

// Job is a function and its schedule: it is both a cron.Job and a cron.Schedule. It
// belongs to one cron, which must be given it as both. It is safe for concurrent
// use.
type Job struct {
	ticks   recorder
	runner  *runner
	f       func(ctx context.Context) error
	zone    *time.Location // of its cron, which is attached; nil if it was not made by Add
	begun   atomic.Bool    // cron has asked for a tick
	looking atomic.Bool    // for a missed tick
}

// NewJob makes a job for a schedule that is not a spec, for a chain of the job's
// own, or for a fork of robfig/cron. Arguments and errors are as for [Adapter.Add].
// The caller adds the job to its cron:
//
//	c.Schedule(job, job)
//	c.Schedule(job, cron.NewChain(cron.Recover(logger)).Then(job))
//
// The schedule's Next must be a function of its argument, the same on every
// replica, and safe for concurrent use. Ticks must be at least a millisecond apart.
// NewJob calls Next a few times to find out what kind of schedule it is:
//
//   - A schedule whose next tick is a fixed time after the argument, such as
//     cron.Every(d), is aligned like "@every d".
//   - The spec type of robfig/cron and its forks, made of crontab fields, has the
//     same ticks on every replica.
//   - Any other schedule might count from the start of its process. So a tick is
//     refused if another was granted within 9/10 of the time since the schedule's
//     previous tick. That changes nothing where replicas have the same ticks, except
//     that a schedule that was just changed may lose its first one.
//     redlock.WithSpacing(0) turns it off.
func (a *Adapter) NewJob(name string, schedule Schedule, job func(ctx context.Context) error, opts ...redlock.JobOption) (*Job, error) {
	return a.newJob(name, "", schedule, job, opts)
}

func (a *Adapter) newJob(name, words string, schedule Schedule, job func(ctx context.Context) error, opts []redlock.JobOption) (*Job, error) {
	switch {
	case job == nil:
		return nil, invalid("the function of job %q is nil", name)
	case schedule == nil:
		return nil, invalid("the schedule of job %q is nil; use Add for a spec, or parse it with cron.ParseStandard", name)
	}
	now := a.cfg.now()
	for i, t := 0, now; i < 2 && !t.IsZero(); i++ {
		next := schedule.Next(t)
		if !next.IsZero() && !next.After(t) {
			return nil, invalid("the schedule of job %q returned %v from Next(%v), must be later or zero; make one with cron.Every or cron.ParseStandard", name, next, t)
		}
		t = next
	}
	p := paceOf(schedule, now)
	if p.every > 0 && !a.cfg.unaligned {
		schedule = ticks.Grid(p.every)
		p = pace{schedule: schedule, gap: p.every}
	}
	p.words = words
	j := &Job{ticks: recorder{schedule: schedule, now: a.cfg.now}, f: job}
	var err error
	j.runner, err = a.newRunner(name, p, opts, func(r *runner, tick time.Time) {
		if j.begun.Load() { // its cron was started
			r.spawn(func() { j.runFor(&turn{tick: tick, triggered: true}) })
		}
	})
	if err != nil {
		return nil, err
	}
	return j, nil
}

// Next returns the next tick after t, for cron. Others may call it too, with any t: the
// schedule is always asked in the cron's time zone. But for a job of [Adapter.NewJob] the
// first call counts as the start of its cron.
func (j *Job) Next(t time.Time) time.Time {
	asked := t.Location()
	t = t.In(cmp.Or(j.zone, j.runner.zone.Load(), asked)) // the second is where the first one asked, who is most likely the cron
	next, stood := j.ticks.next(t)
	j.runner.checkZone(t)
	first := !j.begun.Swap(true)
	if first {
		j.resume()
	}
	if first || stood {
		j.lookBack()
	}
	return next.In(asked)
}

// Run claims the newest tick that has come and, if this replica gets it, calls the
// function. cron calls Run.
func (j *Job) Run() {
	t := j.runner.take(j.ticks.tick)
	if err := j.runner.run(t, j.f); !t.triggered && (errors.Is(err, redlock.ErrPaused) || errors.Is(err, redlock.ErrNoQuorum)) {
		j.lookBack()
	}
}

// checkZone notes the time zone in which cron asked. It warns once when a schedule
// follows the machine's zone, which may differ between replicas.
func (r *runner) checkZone(t time.Time) {
	r.zone.Store(t.Location())
	if !ticks.FollowsLocal(r.pace.Load().schedule.Next, t) {
		return
	}
	r.a.warnZone.Do(func() {
		r.report(Warning, time.Time{}, fmt.Errorf(
			"%w: job %q follows %s; a replica in another time zone runs it at other times, so it runs more than once; make the cron with cron.WithLocation, or begin the spec with CRON_TZ=",
			ErrSchedule, r.name, ticks.Local(t)))
	})
}
