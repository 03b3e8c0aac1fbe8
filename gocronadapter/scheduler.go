package gocronadapter

import (
	"errors"
	"sync"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/redlock"
)

// NewScheduler returns a gocron scheduler with a Locker attached. It differs
// from gocron's own in two ways: NewJob and Update refuse a job whose name does
// not identify it with [ErrJobName], and RunNow works in all modes.
func NewScheduler(locker *redlock.Locker, opts ...Option) (gocron.Scheduler, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	l, err := newLocker(locker, c)
	if err != nil {
		return nil, err
	}
	options := append([]gocron.SchedulerOption{gocron.WithClock(c.clock)}, c.scheduler...)
	s, err := gocron.NewScheduler(append(options, gocron.WithDistributedLocker(l))...)
	if err != nil {
		return nil, err
	}
	if err := l.Attach(s); err != nil {
		return nil, errors.Join(err, s.Shutdown())
	}
	return &scheduler{Scheduler: s, locker: l}, nil
}

// RunNow is job.RunNow for a scheduler that the Locker was attached to, and
// needed only for jobs in singleton or limit mode: there a run that RunNow
// started is not told apart from one that waited too long. The run takes the
// lock but no tick.
func (l *Locker) RunNow(j gocron.Job) error {
	l.expect(j.ID(), 1)
	err := j.RunNow()
	if err != nil {
		l.expect(j.ID(), -1)
	}
	return err
}

func (l *Locker) expect(id uuid.UUID, runs int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked[id] += runs; l.asked[id] <= 0 {
		delete(l.asked, id)
	}
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
	return s.admit(j, err)
}

func (s *scheduler) admit(j gocron.Job, err error) (gocron.Job, error) {
	if err != nil || j == nil {
		return j, err
	}
	if jobs := s.Scheduler.Jobs(); len(jobs) > 0 {
		if _, err := only(jobs, j.Name()); errors.Is(err, ErrJobName) {
			return nil, errors.Join(err, s.RemoveJob(j.ID()))
		}
	}
	return &job{Job: j, locker: s.locker}, nil
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
