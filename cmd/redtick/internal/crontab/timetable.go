package crontab

import (
	"context"
	"errors"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
)

// Timetable runs the jobs of a crontab when they are due. Its methods must be called
// from one goroutine.
type Timetable struct {
	locker  *redlock.Locker
	adapter *cronadapter.Adapter
	cron    *cron.Cron
	run     func(ctx context.Context, j Job) error
	jobs    map[string]Job
}

// NewTimetable returns a running timetable without jobs. run is called for each tick
// that this process is granted, with a context that carries the lease
// (redlock.LeaseFrom).
func NewTimetable(locker *redlock.Locker, run func(ctx context.Context, j Job) error) (*Timetable, error) {
	adapter, err := cronadapter.New(locker, cronadapter.WithTriggers())
	if err != nil {
		return nil, err
	}
	c := cron.New(cron.WithLogger(cron.DiscardLogger))
	c.Start()
	return &Timetable{locker: locker, adapter: adapter, cron: c, run: run, jobs: map[string]Job{}}, nil
}

// Check returns a [Problem] for each job that redlock refuses, joined, or nil.
func (f *File) Check(locker *redlock.Locker) error {
	var problems []error
	for _, j := range f.Jobs {
		if _, err := locker.NewJob(j.Name, j.JobOptions()...); err != nil {
			problems = append(problems, Problem{f.Name, j.Line, err.Error()})
		}
	}
	return errors.Join(problems...)
}

// Load replaces the jobs by those of f. Unchanged jobs stay, and running commands go on,
// even of jobs that are removed. If redlock refuses a job, nothing is changed.
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
			return Problem{f.Name, j.Line, err.Error()}
		}
	}
	return nil
}

// put adds a job, or replaces the one with its name. The adapter runs the ticks that
// come between the removal and the addition.
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
		return err
	}
	t.jobs[j.Name] = j
	t.cron.Schedule(job, job)
	return nil
}

// JobOptions returns redlock's options for the job.
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

// after returns the tick after the given one. A schedule without a zone follows the
// zone of its argument.
func (j Job) after(tick time.Time) time.Time { return j.next(tick.Local()) }

// Stop stops the timetable. It returns a channel that is closed when the runs in
// progress have returned.
func (t *Timetable) Stop() <-chan struct{} { return t.adapter.Stop(t.cron).Done() }
