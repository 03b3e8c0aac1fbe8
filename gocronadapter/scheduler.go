package gocronadapter

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/redlock"
)

// NewScheduler returns a gocron scheduler with a Locker attached. It differs
// from gocron's own in two ways: NewJob and Update refuse a job whose name does
// not identify it with [ErrJobName], and RunNow works in all modes. gocron has
// replaced a job by the time its Update is refused, so the job is removed then.
func NewScheduler(locker *redlock.Locker, opts ...Option) (gocron.Scheduler, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	l, err := newLocker(locker, c)
	if err != nil {
		return nil, err
	}
	options := slices.Concat([]gocron.SchedulerOption{gocron.WithClock(c.clock)}, c.scheduler,
		[]gocron.SchedulerOption{gocron.WithDistributedLocker(l)})
	s, err := gocron.NewScheduler(options...)
	if err != nil {
		return nil, err
	}
	if err := l.Attach(s); err != nil {
		return nil, errors.Join(err, s.Shutdown())
	}
	return &scheduler{Scheduler: s, locker: l}, nil
}

// scheduler is gocron's, with names checked where the mistake is made.
type scheduler struct {
	gocron.Scheduler
	locker *Locker

	naming sync.Mutex
}

func (s *scheduler) NewJob(d gocron.JobDefinition, t gocron.Task, opts ...gocron.JobOption) (gocron.Job, error) {
	s.naming.Lock()
	defer s.naming.Unlock()
	j, err := s.Scheduler.NewJob(d, t, opts...)
	return s.admit(j, err)
}

func (s *scheduler) Update(id uuid.UUID, d gocron.JobDefinition, t gocron.Task, opts ...gocron.JobOption) (gocron.Job, error) {
	s.naming.Lock()
	defer s.naming.Unlock()
	j, err := s.Scheduler.Update(id, d, t, opts...)
	if j, err = s.admit(j, err); errors.Is(err, ErrJobName) {
		err = fmt.Errorf("%w; Update had replaced the job %v by then, so it is removed: add it again, with NewJob", err, id)
	}
	return j, err
}

func (s *scheduler) admit(j gocron.Job, err error) (gocron.Job, error) {
	if err != nil || j == nil {
		return j, err
	}
	err = checkName(j.Name())
	if err == nil {
		_, err = find(s.Scheduler.Jobs(), j.Name())
	}
	if errors.Is(err, ErrJobName) {
		return nil, errors.Join(err, s.RemoveJob(j.ID()))
	}
	return &job{Job: j, locker: s.locker}, nil // one that is gone already is gocron's to report
}

func (s *scheduler) Jobs() []gocron.Job {
	jobs := s.Scheduler.Jobs()
	for i, j := range jobs {
		jobs[i] = &job{Job: j, locker: s.locker}
	}
	return jobs
}

type job struct {
	gocron.Job
	locker *Locker
}

func (j *job) RunNow() error { return j.locker.RunNow(j.Job) }
