package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/redlock"
)

// NewScheduler returns a gocron scheduler whose jobs are locked. It differs from
// gocron's own in three ways:
//
//   - NewJob and Update refuse a job whose name does not identify it, with
//     [ErrJobName], or cannot be the name of a lock, with redlock.ErrInvalid. They
//     change nothing then.
//   - A run that starts at once, by gocron.WithStartImmediately or RunNow, never
//     counts as a run of the schedule, in any of gocron's modes.
//   - A job that replaces another, by Update, or by RemoveJob and NewJob under the
//     same name within ten seconds, runs the newest tick that came meanwhile, if
//     both schedules have it; under redlock.WithTakeover also the ticks that stand
//     by.
//
// Names are compared across all schedulers of this process that share the
// redlock.Locker. gocron keeps a job whose gocron.WithContext has ended, so the job
// keeps its name until RemoveJob. A job with
// gocron.WithDisabledDistributedJobLocker(true), or with a locker of its own
// (gocron.WithDistributedJobLocker), is left to gocron.
//
// NewScheduler does not contact the nodes. An option that does not suit gives an
// error that matches redlock.ErrInvalid.
func NewScheduler(locker *redlock.Locker, opts ...Option) (gocron.Scheduler, error) {
	l, err := newLocker(locker, opts)
	switch {
	case err != nil:
		return nil, err
	case l.window != DefaultWindow:
		return nil, invalid("window is %v, but a scheduler of NewScheduler knows its ticks; leave WithWindow out", l.window)
	}
	options := append([]gocron.SchedulerOption{gocron.WithClock(l.clock)}, l.config.scheduler...)
	examiner, err := newExaminer(options)
	if err != nil {
		return nil, err
	}
	s, err := gocron.NewScheduler(options...)
	if err != nil {
		return nil, err
	}
	if err := l.check(s); err != nil {
		return nil, errors.Join(err, s.Shutdown())
	}
	return &scheduler{Scheduler: s, locker: l, examiner: examiner, jobs: make(map[uuid.UUID]*jobLocker), departed: make(map[string]*departure),
		running: examiner.canceled, stop: func() {}, starting: make(chan struct{}, 1)}, nil
}

// scheduler wraps gocron's and gives each job a Locker of its own, which need not
// look the job up.
type scheduler struct {
	gocron.Scheduler
	locker   *Locker
	examiner *examiner

	mu       sync.Mutex
	jobs     map[uuid.UUID]*jobLocker // nil after Shutdown
	departed map[string]*departure    // by name, for reloadLimit
	sweepAt  int                      // the number of jobs above which sweep is called

	running  context.Context // lasts from the end of Start to the next stop
	stop     context.CancelFunc
	starting chan struct{} // held to start a run, and to start or stop gocron; not a mutex, which would stop the time of a synctest bubble

	started   atomic.Pointer[time.Time] // when Start was last called
	questions questions
	forecasts questions // none while a job is made: it may share the parser of its cron definition with others
}

func (s *scheduler) NewJob(d gocron.JobDefinition, t gocron.Task, opts ...gocron.JobOption) (gocron.Job, error) {
	return s.add(nil, jobSpec{d, opts, s.locker.clock.Now()}, t, func(opts []gocron.JobOption) (gocron.Job, error) { return s.Scheduler.NewJob(d, t, opts...) })
}

func (s *scheduler) Update(id uuid.UUID, d gocron.JobDefinition, t gocron.Task, opts ...gocron.JobOption) (gocron.Job, error) {
	old := s.jobOf(id)
	if old != nil {
		s.noteDeparture(old)
		old.end()
	}
	j, err := s.add(old, jobSpec{d, opts, s.locker.clock.Now()}, t, func(opts []gocron.JobOption) (gocron.Job, error) {
		if old != nil {
			// For good. A query after the Update would return the new job's ticks, and race with gocron for the random numbers of a job with
			// random intervals, or for the parser of a cron definition that both jobs share.
			old.replaced.Do(func() { old.queries <- struct{}{} })
		}
		return s.Scheduler.Update(id, d, t, opts...)
	})
	switch {
	case err == nil || old == nil:
	case !errors.Is(err, ErrJobName) && gone(old.job):
		s.forget(old) // gocron removes the job before it looks at the new definition
	default:
		old.begin(s.life())
	}
	return j, err
}

// add makes a job, or replaces the old one.
func (s *scheduler) add(old *jobLocker, spec jobSpec, t gocron.Task, add func([]gocron.JobOption) (gocron.Job, error)) (gocron.Job, error) {
	s.forecasts.pause()
	defer s.forecasts.resume()
	opts := spec.options
	traits, err := s.examiner.examine(t, opts)
	if err != nil {
		return add(opts) // gocron refuses it too
	}
	if traits.otherLocker {
		j, err := add(opts)
		if err == nil && old != nil {
			s.forget(old)
		}
		return j, err
	}
	l, err := s.lockerFor(traits, old, spec)
	if err != nil {
		return nil, err
	}
	j, err := add(append(l.options(), opts...))
	if err != nil || j == nil {
		close(l.ready)
		l.forget()
		return j, err
	}
	l.job = askedJob{Job: j, questions: &s.questions}
	l.locked = sync.OnceValue(func() bool { return s.examiner.locks(opts) })
	l.startsImmediately = s.examiner.startsImmediately(j.Schedule(), opts)
	s.inherit(l)
	close(l.ready) // from here on a run may read what is set above
	s.remember(l)
	s.locker.checkDates(traits.name, j.Schedule())
	s.locker.checkZone(traits.name, j.Schedule(), s.examiner.zone)
	l.begin(s.life())
	return &job{Job: j, scheduler: s}, nil
}

// lockerFor reserves the job's name and makes its locker.
func (s *scheduler) lockerFor(t traits, old *jobLocker, spec jobSpec) (*jobLocker, error) {
	l := &jobLocker{traits: t, locker: s.locker, queries: make(chan struct{}, 1), extraRuns: new(extraRuns), scheduler: s, ready: make(chan struct{}),
		spec: spec, alive: s.examiner.canceled, ending: func() {}}
	if old != nil {
		l.extraRuns = old.extraRuns
	}
	if err := s.locker.reserve(l, old); err != nil && s.examiner.locks(spec.options) {
		return nil, err
	}
	return l, nil
}

func (s *scheduler) remember(l *jobLocker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs == nil {
		l.forget() // gocron returns a job even after Shutdown
		return
	}
	id := l.job.ID()
	if was := s.jobs[id]; was != nil && was.name != l.name { // by Update, or by gocron.WithIdentifier
		was.forget()
	}
	s.jobs[id] = l
	if len(s.jobs) > max(s.sweepAt, minSweep) {
		s.sweep()
		s.sweepAt = 2 * len(s.jobs)
	}
}

// minSweep is the number of jobs up to which sweep is not worth its cost.
const minSweep = 256

// sweep forgets the jobs that gocron has removed by itself, which it does not
// report. The caller holds mu.
func (s *scheduler) sweep() {
	there := make(map[uuid.UUID]bool, len(s.jobs))
	for _, j := range s.Scheduler.Jobs() {
		there[j.ID()] = true
	}
	maps.DeleteFunc(s.jobs, func(id uuid.UUID, l *jobLocker) bool {
		if !there[id] {
			l.forget()
		}
		return !there[id]
	})
}

func (s *scheduler) forget(l *jobLocker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := l.job.ID(); s.jobs[id] == l {
		delete(s.jobs, id)
	}
	l.forget()
}

func (s *scheduler) RemoveJob(id uuid.UUID) error {
	l := s.jobOf(id)
	if l != nil {
		s.noteDeparture(l)
	}
	err := s.Scheduler.RemoveJob(id)
	if l != nil && (err == nil || errors.Is(err, gocron.ErrJobNotFound)) {
		s.forget(l)
	}
	return err
}

func (s *scheduler) jobOf(id uuid.UUID) *jobLocker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[id]
}

func (s *scheduler) RemoveByTags(tags ...string) {
	for _, j := range s.Scheduler.Jobs() {
		if slices.ContainsFunc(j.Tags(), func(tag string) bool { return slices.Contains(tags, tag) }) {
			_ = s.RemoveJob(j.ID()) // it may have ended by itself
		}
	}
}

func (s *scheduler) Start() {
	s.starting <- struct{}{}
	defer func() { <-s.starting }()
	if s.life().Err() == nil {
		s.Scheduler.Start() // which does nothing but log
		return
	}
	s.removeFinished()
	now := s.locker.clock.Now()
	s.started.Store(&now)
	s.locker.lastEnd.Store(math.MaxInt64) // not idle until a run has ended: gocron's queues may still hold runs from before the stop
	s.Scheduler.Start()
	s.mu.Lock()
	s.running, s.stop = context.WithCancel(context.Background())
	life, jobs := s.running, slices.Collect(maps.Values(s.jobs))
	s.mu.Unlock()
	for _, l := range jobs {
		l.begin(life)
	}
	go func() {
		for i := 0; i < len(jobs) && life.Err() == nil; i++ {
			jobs[i].forecast(&now)
		}
	}()
}

// removeFinished removes the one-time jobs whose last date has passed. gocron keeps them, and its next Start would look for their next
// date in an endless loop.
func (s *scheduler) removeFinished() {
	now := s.locker.clock.Now()
	for _, j := range s.Scheduler.Jobs() {
		once, ok := j.Schedule().(gocron.OneTimeJobSchedule)
		if !ok || len(once.StartAt) == 0 || !once.StartAt[len(once.StartAt)-1].Before(now) {
			continue
		}
		s.locker.warn(j.Name(), fmt.Errorf("%w: job %q is removed: its last date, %v, has passed, and gocron 2.21 would hang at Start",
			ErrSchedule, j.Name(), once.StartAt[len(once.StartAt)-1].UTC()))
		_ = s.RemoveJob(j.ID())
	}
}

// life returns a context that lasts until gocron is stopped; while it is, that has ended.
func (s *scheduler) life() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// ifRunning calls f, which starts a run, unless gocron is stopped: a RunNow then makes gocron's next Start hang.
func (s *scheduler) ifRunning(ctx context.Context, f func()) {
	select {
	case s.starting <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-s.starting }()
	if s.life().Err() == nil && ctx.Err() == nil {
		f()
	}
}

func (s *scheduler) StopJobs() error { return s.halt(s.Scheduler.StopJobs) }

func (s *scheduler) StopJobsWithContext(ctx context.Context) error {
	return s.halt(func() error { return s.Scheduler.StopJobsWithContext(ctx) })
}

func (s *scheduler) Shutdown() error {
	defer s.conclude()
	return s.halt(s.Scheduler.Shutdown)
}

func (s *scheduler) ShutdownWithContext(ctx context.Context) error {
	defer s.conclude()
	return s.halt(func() error { return s.Scheduler.ShutdownWithContext(ctx) })
}

// halt ends the extra runs and stops gocron. It waits until gocron has noted that: gocron's stop returns a moment earlier, and a Start
// in that moment would do nothing. (That is too rare for a test: once in some 50,000 stops.)
func (s *scheduler) halt(stop func() error) error {
	s.endExtraRuns()
	s.questions.pause()
	err := stop()
	s.questions.resume()
	if !errors.Is(err, gocron.ErrStopSchedulerTimedOut) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		s.Scheduler.Jobs() // returns at once after a shutdown
	}
	return err
}

// endExtraRuns ends the extra runs: once it has returned, none is started.
func (s *scheduler) endExtraRuns() {
	s.starting <- struct{}{}
	defer func() { <-s.starting }()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
}

// conclude ends the examiner and releases all names after Shutdown, when gocron makes no job any more.
func (s *scheduler) conclude() {
	s.examiner.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.jobs {
		l.forget()
	}
	s.jobs = nil
}

func (s *scheduler) Jobs() []gocron.Job {
	jobs := s.Scheduler.Jobs()
	for i, j := range jobs {
		jobs[i] = &job{Job: j, scheduler: s}
	}
	return jobs
}

// job wraps gocron's and counts the runs by RunNow.
type job struct {
	gocron.Job
	scheduler *scheduler
}

func (j *job) RunNow() error {
	runNow := j.Job.RunNow
	if l := j.scheduler.jobOf(j.ID()); l != nil {
		runNow = func() error { return l.extraRuns.runNow(j.Job) }
	}
	err := fmt.Errorf("%w: the scheduler is stopped, and gocron would hang at its next Start; call Start first", gocron.ErrJobRunNowFailed)
	ctx, cancel := context.WithTimeout(context.Background(), gocronTimeout) // a monitor may call this in Start
	defer cancel()
	j.scheduler.ifRunning(ctx, func() { err = runNow() })
	return err
}
