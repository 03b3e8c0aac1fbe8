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
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	if c.window != DefaultWindow {
		return nil, invalid("window is %v, but a scheduler of NewScheduler knows its ticks; leave WithWindow out", c.window)
	}
	l, err := newLocker(locker, c)
	if err != nil {
		return nil, err
	}
	options := slices.Concat([]gocron.SchedulerOption{gocron.WithClock(c.clock)}, c.scheduler,
		[]gocron.SchedulerOption{gocron.WithDistributedLocker(l)})
	examiner, err := newExaminer(options)
	if err != nil {
		return nil, err
	}
	s, err := gocron.NewScheduler(options...)
	if err != nil {
		return nil, err
	}
	if err := l.Attach(s); err != nil {
		return nil, errors.Join(err, s.Shutdown())
	}
	return &scheduler{Scheduler: s, locker: l, examiner: examiner, jobs: make(map[uuid.UUID]*jobLocker), departed: make(map[string]*departure), starting: make(chan struct{}, 1)}, nil
}

// scheduler wraps gocron's and gives each job a Locker of its own, which need not
// look the job up.
type scheduler struct {
	gocron.Scheduler
	locker   *Locker
	examiner *examiner

	mu       sync.Mutex
	jobs     map[uuid.UUID]*jobLocker
	departed map[string]*departure // by name, for reloadLimit
	sweepAt  int                   // the number of jobs above which sweep is called
	shut     bool

	running  context.Context // from the end of Start to the next stop, else nil
	stop     context.CancelFunc
	starting chan struct{} // held to start a run, and to start or stop gocron; not a mutex, which would stop the time of a synctest bubble

	started atomic.Pointer[time.Time] // when Start was last called
}

func (s *scheduler) NewJob(d gocron.JobDefinition, t gocron.Task, opts ...gocron.JobOption) (gocron.Job, error) {
	return s.add(nil, d, opts, t, func(opts []gocron.JobOption) (gocron.Job, error) { return s.Scheduler.NewJob(d, t, opts...) })
}

func (s *scheduler) Update(id uuid.UUID, d gocron.JobDefinition, t gocron.Task, opts ...gocron.JobOption) (gocron.Job, error) {
	old := s.jobOf(id)
	if old != nil {
		s.noteDeparture(old)
		old.end()
	}
	j, err := s.add(old, d, opts, t, func(opts []gocron.JobOption) (gocron.Job, error) {
		if old != nil {
			old.queries.stop()
		}
		return s.Scheduler.Update(id, d, t, opts...)
	})
	switch {
	case err == nil || old == nil:
	case !errors.Is(err, ErrJobName) && gone(old.owner.get()):
		s.forget(old) // gocron removes the job before it looks at the new definition
	default:
		s.begin(old)
	}
	return j, err
}

// add makes a job, or replaces the old one.
func (s *scheduler) add(old *jobLocker, d gocron.JobDefinition, opts []gocron.JobOption, t gocron.Task, add func([]gocron.JobOption) (gocron.Job, error)) (gocron.Job, error) {
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
	l, err := s.lockerFor(traits, old, opts)
	if err != nil {
		return nil, err
	}
	j, err := add(append([]gocron.JobOption{gocron.WithDistributedJobLocker(l), l.onEnd(), l.onError()}, opts...))
	if err != nil || j == nil {
		l.discard()
		return j, err
	}
	l.catcher.plan = func(ctx context.Context, now time.Time, within time.Duration) (newest, next time.Time, err error) {
		if !l.queries.begin() {
			return newest, next, context.Canceled
		}
		defer l.queries.calls.Done()
		return s.examiner.plan(ctx, j, jobSpec{d, opts, l.createdAt}, now, within)
	}
	l.locked = sync.OnceValue(func() bool { return s.examiner.locks(opts) })
	l.traits.startsImmediately = s.examiner.startsImmediately(j.Schedule(), opts)
	s.inherit(l)
	l.setJob(j) // from here on a run may read what is set above
	s.remember(l)
	s.locker.checkDates(traits.name, j.Schedule())
	s.locker.checkZone(traits.name, j.Schedule(), s.examiner.zone)
	s.begin(l)
	return &job{Job: j, scheduler: s}, nil
}

// lockerFor reserves the job's name and makes its locker.
func (s *scheduler) lockerFor(t traits, old *jobLocker, opts []gocron.JobOption) (*jobLocker, error) {
	l := &jobLocker{scheduler: s, locker: s.locker, traits: t, owner: new(owner), extraRuns: new(extraRuns), ready: make(chan struct{})}
	if old != nil {
		l.extraRuns = old.extraRuns
	}
	var replaced *owner
	if old != nil && old.traits.name == t.name {
		replaced = old.owner
	}
	err := checkName(t.name)
	if err == nil {
		err = s.locker.locker.CheckName(t.name)
	}
	if err == nil {
		err = s.locker.reserve(t.name, l.owner, replaced)
	}
	if err != nil && s.examiner.locks(opts) {
		return nil, err
	}
	l.createdAt = s.locker.clock.Now()
	return l, nil
}

func (s *scheduler) remember(l *jobLocker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		l.forget() // gocron returns a job even after Shutdown
		return
	}
	if was := s.jobs[l.id]; was != nil && was.traits.name != l.traits.name { // by Update, or by gocron.WithIdentifier
		was.forget()
	}
	s.jobs[l.id] = l
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
	for id, l := range s.jobs {
		if !there[id] {
			delete(s.jobs, id)
			l.forget()
		}
	}
}

func (s *scheduler) forget(l *jobLocker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs[l.id] == l {
		delete(s.jobs, l.id)
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
	var tagged []*jobLocker
	for _, j := range s.Scheduler.Jobs() {
		if l := s.jobOf(j.ID()); l != nil && slices.ContainsFunc(j.Tags(), func(tag string) bool { return slices.Contains(tags, tag) }) {
			s.noteDeparture(l)
			tagged = append(tagged, l)
		}
	}
	s.Scheduler.RemoveByTags(tags...)
	for _, l := range tagged {
		s.forget(l)
	}
}

func (s *scheduler) Start() {
	s.starting <- struct{}{}
	defer func() { <-s.starting }()
	if s.life() != nil {
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

// begin begins the extra runs of a job, if the scheduler runs.
func (s *scheduler) begin(l *jobLocker) {
	if life := s.life(); life != nil {
		l.begin(life)
	}
}

// life returns a context that lasts from Start to the next stop, or nil while gocron is stopped.
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
	if s.life() != nil && ctx.Err() == nil {
		f()
	}
}

// stopStarting ends the extra runs before gocron stops: once it has returned, none is started.
func (s *scheduler) stopStarting() {
	s.starting <- struct{}{}
	defer func() { <-s.starting }()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		s.stop()
	}
	s.running = nil
}

func (s *scheduler) StopJobs() error {
	s.stopStarting()
	return s.waitStopped(s.Scheduler.StopJobs())
}

func (s *scheduler) StopJobsWithContext(ctx context.Context) error {
	s.stopStarting()
	return s.waitStopped(s.Scheduler.StopJobsWithContext(ctx))
}

// waitStopped waits until gocron has noted that it has stopped. Its stop returns a moment earlier, and a Start in that moment would do
// nothing. (That is too rare for a test: once in some 50,000 stops.)
func (s *scheduler) waitStopped(err error) error {
	unanswered := errors.Is(err, gocron.ErrStopSchedulerTimedOut) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if !unanswered {
		s.Scheduler.Jobs()
	}
	return err
}

func (s *scheduler) Shutdown() error {
	s.stopStarting()
	return s.releaseNames(s.Scheduler.Shutdown())
}

func (s *scheduler) ShutdownWithContext(ctx context.Context) error {
	s.stopStarting()
	return s.releaseNames(s.Scheduler.ShutdownWithContext(ctx))
}

// releaseNames releases all names after Shutdown, when gocron makes no job any more.
func (s *scheduler) releaseNames(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.jobs {
		l.forget()
	}
	clear(s.jobs)
	s.shut = true
	return err
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
