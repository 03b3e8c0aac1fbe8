package cronadapter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/internal/ticks"
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
	ticks   recorder
	runner  *runner
	f       func(ctx context.Context) error
	added   bool        // by Add, so that its cron is attached
	begun   atomic.Bool // cron has asked for a tick
	looking atomic.Bool // for a missed tick
}

// NewJob is [Adapter.Add] for a schedule that is not a spec, for a chain of
// this job's own, or for a fork of robfig/cron. The caller adds it:
//
//	c.Schedule(job, job)
//	c.Schedule(job, cron.NewChain(cron.Recover(logger)).Then(job))
//
// The schedule must answer the same whenever it is asked for what comes after
// an instant, by several goroutines at a time, and on every replica, with ticks at
// least a millisecond apart. It is asked some times at once, to find out what it is:
//
//   - One that counts from when it is asked, as cron.Every(d) does, is aligned
//     as "@every d" is.
//   - The fields of a crontab, in the type that robfig/cron and its forks have
//     for them, are the same on every replica.
//   - Of any other schedule nobody can tell whether it counts from the start of
//     its process. Then a tick is refused when another one was granted less
//     than 9/10 of the time since the schedule's instant before it. That does
//     nothing where replicas have their instants in common; only a schedule
//     that was just changed may lose its first tick. redlock.WithSpacing(0)
//     turns it off.
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
			return nil, invalid("the schedule of job %q answers %v for what comes after %v, must be later or zero; make one with cron.Every or cron.ParseStandard", name, next, t)
		}
		t = next
	}
	p := paceOf(schedule, now)
	if p.every > 0 && !a.cfg.unaligned {
		schedule = ticks.Grid(p.every)
		p = pace{schedule: schedule, gap: p.every}
	}
	p.words = words
	r, err := a.newRunner(name, p, opts)
	if err != nil {
		return nil, err
	}
	if p.moves && r.job.CatchUp() > 0 {
		a.Remove(nil, name)
		return nil, invalid("the ticks of job %q count from when its schedule is asked, so what was missed is not known and WithCatchUp does not apply; use a schedule that all replicas have in common", name)
	}
	j := &Job{runner: r, ticks: recorder{schedule: schedule, now: a.cfg.now}, f: job}
	err = r.listen(func(tick time.Time) {
		if j.begun.Load() { // where the cron does not run, nor does the job
			r.spawn(func() { j.runFor(&turn{tick: tick, triggered: true}) })
		}
	})
	if err != nil {
		a.Remove(nil, name)
		return nil, err
	}
	return j, nil
}

// Next is the schedule's answer, for cron. Anybody may ask, also for instants
// far away.
func (j *Job) Next(t time.Time) time.Time {
	next, stood := j.ticks.next(t)
	j.runner.checkZone(t)
	first := !j.begun.Swap(true)
	if first {
		j.resume()
	}
	if first || stood {
		j.lookBack()
	}
	return next
}

// Run claims the newest tick that has come, and if this replica gets it runs
// the function, for cron.
func (j *Job) Run() {
	t := j.runner.take()
	if t == nil {
		t = &turn{tick: j.ticks.tick()}
	}
	if err := j.runner.run(t, j.f); !t.triggered && (errors.Is(err, redlock.ErrPaused) || errors.Is(err, redlock.ErrNoQuorum)) {
		j.lookBack()
	}
}

// checkZone warns once when a schedule follows the time zone of the machine,
// which may be another one on another replica.
func (r *runner) checkZone(t time.Time) {
	r.zone.Store(t.Location())
	if p, _ := r.current(); !ticks.FollowsLocal(p.schedule.Next, t) {
		return
	}
	r.a.zone.Do(func() {
		r.a.report(Warning, r.fullName(), time.Time{}, fmt.Errorf(
			"%w: job %q follows %s; a replica with another one runs it at other instants, and then it runs more than once; give the cron cron.WithLocation, or begin the spec with CRON_TZ=",
			ErrSchedule, r.name, ticks.Local(t)))
	})
}

// wordsOf is a spec for those who do not see its cron.
func wordsOf(spec string, zone *time.Location) string {
	if strings.HasPrefix(spec, "@every") || strings.Contains(spec, "TZ=") {
		return spec
	}
	return spec + " " + zone.String()
}

// parse reads a spec. An error of the parser has the value and the rule.
func (a *Adapter) parse(spec string) (cron.Schedule, error) {
	schedule, err := ticks.Parse(a.cfg.parser.Parse, spec)
	switch {
	case err != nil:
		return nil, invalid("spec %q: %w; a cron with a parser of its own needs WithParser here too", spec, err)
	case schedule == nil || schedule.Next(time.Now()).IsZero():
		return nil, invalid("spec %q does not activate within five years; is there such a date?", spec)
	}
	return schedule, nil
}
