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
// gocron's own in three ways. NewJob and Update refuse a job whose name does not
// identify it with [ErrJobName], and one whose name cannot be a lock's with
// redlock.ErrInvalid, before they do anything else. Runs that start at once, by
// gocron.WithStartImmediately or RunNow, are known for what they are in all of
// gocron's modes. And a job that is replaced, by Update or by RemoveJob and
// NewJob under its name within ten seconds, runs the newest tick that came
// meanwhile, if its schedule has that as well as the old one; under
// redlock.WithTakeover also those that stand by.
//
// Names are compared over all schedulers of this process that share the
// redlock.Locker. gocron keeps a job whose gocron.WithContext has ended, so that
// has its name until RemoveJob. A job with gocron.WithDisabledDistributedJobLocker(true) is
// none of this package's business, nor is one with a locker of its own
// (gocron.WithDistributedJobLocker).
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

// scheduler is gocron's. It gives each job a Locker of its own, which knows its
// job and looks nothing up.
type scheduler struct {
	gocron.Scheduler
	locker   *Locker
	examiner *examiner

	mu       sync.Mutex
	jobs     map[uuid.UUID]*jobLocker
	departed map[string]*departure // by name, for a moment
	sweepAt  int                   // how many jobs make it worth while to look for those that are gone
	shut     bool

	running  context.Context // from the end of Start to the next stop, else nil
	stop     context.CancelFunc
	starting chan struct{} // held by one who starts a run, starts gocron or stops it; not a mutex, on which a bubble's time would stand still

	started atomic.Pointer[time.Time] // when Start was last called, from which a job that starts at once counts
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
			old.asking.stop()
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
		return add(opts) // it is for gocron to refuse it
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
	j, err := add(append([]gocron.JobOption{gocron.WithDistributedJobLocker(l), l.hearsEnd(), l.hearsError()}, opts...))
	if err != nil || j == nil {
		l.unready()
		return j, err
	}
	l.catch.plan = func(ctx context.Context, now time.Time, within time.Duration) (newest, next time.Time, err error) {
		if !l.asking.begin() {
			return newest, next, context.Canceled
		}
		defer l.asking.calls.Done()
		return s.examiner.plan(ctx, j, planned{d, opts, l.made}, now, within)
	}
	l.locked = sync.OnceValue(func() bool { return s.examiner.locks(opts) })
	l.traits.startsAtOnce = s.examiner.startsAtOnce(j.Schedule(), opts)
	s.succeed(l)
	l.become(j) // from here on a run may ask for what is set above
	s.remember(l)
	s.locker.checkDates(traits.name, j.Schedule())
	s.locker.checkZone(traits.name, j.Schedule(), s.examiner.zone)
	s.begin(l)
	return &job{Job: j, scheduler: s}, nil
}

// lockerFor reserves the job's name and makes its locker.
func (s *scheduler) lockerFor(t traits, old *jobLocker, opts []gocron.JobOption) (*jobLocker, error) {
	l := &jobLocker{scheduler: s, locker: s.locker, traits: t, owner: new(owner), extras: new(extras), ready: make(chan struct{})}
	if old != nil {
		l.extras = old.extras
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
	l.made = s.locker.clock.Now()
	return l, nil
}

func (s *scheduler) remember(l *jobLocker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		l.forget() // gocron hands out a job all the same
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

// minSweep is more jobs than are worth a look for those that gocron has removed by itself.
const minSweep = 256

// sweep forgets the jobs that gocron does not have any more. gocron does not say
// when it removes one.
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
		s.Scheduler.Start() // which logs that it has started
		return
	}
	s.removeOver()
	now := s.locker.clock.Now()
	s.started.Store(&now)
	s.locker.lastEnd.Store(math.MaxInt64) // never idle until a run has ended: those that were queued at the stop may still be
	s.Scheduler.Start()
	s.mu.Lock()
	s.running, s.stop = context.WithCancel(context.Background())
	life, jobs := s.running, slices.Collect(maps.Values(s.jobs))
	s.mu.Unlock()
	for _, l := range jobs {
		l.begin(life)
	}
}

// removeOver removes the one-time jobs whose last date has passed. gocron keeps them, and looks for their next date at its next Start
// for good.
func (s *scheduler) removeOver() {
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

// begin has a job run what its schedule does not, if the scheduler runs.
func (s *scheduler) begin(l *jobLocker) {
	if life := s.life(); life != nil {
		l.begin(life)
	}
}

// life is from a start to the next stop, or nil.
func (s *scheduler) life() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// whileUp calls f, which starts a run, unless gocron is stopped: then gocron would hang for good at its next Start.
func (s *scheduler) whileUp(ctx context.Context, f func()) {
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

// stopStarting comes before gocron stops: from its return on no run is started.
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
	return s.stopped(s.Scheduler.StopJobs())
}

func (s *scheduler) StopJobsWithContext(ctx context.Context) error {
	s.stopStarting()
	return s.stopped(s.Scheduler.StopJobsWithContext(ctx))
}

// stopped waits until gocron has noted that it has stopped. It says so a moment before, and a Start in that moment would do
// nothing. (That is too rare for a test: once in some 50,000 stops.)
func (s *scheduler) stopped(err error) error {
	unanswered := errors.Is(err, gocron.ErrStopSchedulerTimedOut) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if !unanswered {
		s.Scheduler.Jobs()
	}
	return err
}

func (s *scheduler) Shutdown() error {
	s.stopStarting()
	return s.ended(s.Scheduler.Shutdown())
}

func (s *scheduler) ShutdownWithContext(ctx context.Context) error {
	s.stopStarting()
	return s.ended(s.Scheduler.ShutdownWithContext(ctx))
}

// ended gives up the names: gocron makes no job any more.
func (s *scheduler) ended(err error) error {
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

// job is gocron's, whose RunNow is announced.
type job struct {
	gocron.Job
	scheduler *scheduler
}

func (j *job) RunNow() error {
	runNow := j.Job.RunNow
	if l := j.scheduler.jobOf(j.ID()); l != nil {
		runNow = func() error { return l.extras.runNow(j.Job) }
	}
	err := fmt.Errorf("%w: the scheduler is stopped, and gocron would hang at its next Start; call Start first", gocron.ErrJobRunNowFailed)
	ctx, cancel := context.WithTimeout(context.Background(), gocronLimit) // a monitor may call this in Start
	defer cancel()
	j.scheduler.whileUp(ctx, func() { err = runNow() })
	return err
}
