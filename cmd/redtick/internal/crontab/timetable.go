package crontab

import (
	"context"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
)

// Timetable runs the jobs of a crontab when they are due. Its methods belong to
// one goroutine.
type Timetable struct {
	locker  *redlock.Locker
	adapter *cronadapter.Adapter
	cron    *cron.Cron
	run     func(ctx context.Context, j Job) error
	jobs    map[string]Job
}

// NewTimetable has no jobs. run is called for each tick that this process was
// granted, with a context from which redlock.LeaseFrom reads.
func NewTimetable(locker *redlock.Locker, run func(ctx context.Context, j Job) error) (*Timetable, error) {
	adapter, err := cronadapter.New(locker, cronadapter.WithTriggers())
	if err != nil {
		return nil, err
	}
	c := cron.New(cron.WithLogger(cron.DiscardLogger))
	c.Start()
	return &Timetable{locker: locker, adapter: adapter, cron: c, run: run, jobs: map[string]Job{}}, nil
}

// Check reports what the library refuses of the jobs.
func (f *File) Check(locker *redlock.Locker) error {
	var problems Problems
	for _, j := range f.Jobs {
		if _, err := locker.NewJob(j.Name, j.JobOptions()...); err != nil {
			problems = append(problems, Problem{j.Line, err.Error()})
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// Load replaces the jobs by those of f. A job that has not changed is not
// touched, and a run that is under way goes on, whatever became of its job. On
// an error nothing has changed.
func (t *Timetable) Load(f *File) error {
	if err := f.Check(t.locker); err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, j := range f.Jobs {
		wanted[j.Name] = true
	}
	for name := range t.jobs {
		if !wanted[name] {
			t.adapter.Remove(t.cron, name)
			delete(t.jobs, name)
		}
	}
	for _, j := range f.Jobs {
		if err := t.put(j); err != nil {
			return err
		}
	}
	return nil
}

// put adds a job, or replaces the one of its name: the adapter then runs the ticks that find neither in cron.
func (t *Timetable) put(j Job) error {
	old, known := t.jobs[j.Name]
	if known && old.same(j) {
		t.jobs[j.Name] = j
		return nil
	}
	if known {
		t.adapter.Remove(t.cron, j.Name)
	}
	job, err := t.adapter.NewJob(j.Name, j.Schedule, func(ctx context.Context) error { return t.run(ctx, j) }, j.JobOptions()...)
	if err != nil {
		return Problem{j.Line, err.Error()}
	}
	t.jobs[j.Name] = j
	t.cron.Schedule(job, job)
	return nil
}

// JobOptions are what the job asks of the library.
func (j Job) JobOptions() []redlock.JobOption {
	words := j.Spec
	if j.Zone != "" {
		words = "CRON_TZ=" + j.Zone + " " + words
	}
	opts := []redlock.JobOption{redlock.WithMaxHold(j.MaxHold), redlock.WithSchedule(words, j.after)}
	if j.Lateness != nil {
		opts = append(opts, redlock.WithLateness(*j.Lateness))
	}
	if j.CatchUp > 0 {
		opts = append(opts, redlock.WithCatchUp(j.CatchUp))
	}
	if j.Takeover {
		opts = append(opts, redlock.WithTakeover())
	}
	return opts
}

// after is when the job is due after a tick. A schedule without a zone takes
// that of the time it is asked with.
func (j Job) after(tick time.Time) time.Time { return j.next(tick.Local()) }

// Stop runs no further tick, and returns what is closed when those under way
// have returned.
func (t *Timetable) Stop() <-chan struct{} { return t.adapter.Stop(t.cron).Done() }
