package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/gocronadapter/internal/standby"
	"github.com/redtick/redtick/redlock"
)

// opBehind is the Op of a redlock.Error that this package makes itself.
const opBehind = "stand by"

// jobState is what one replica knows about the ticks of one job, from one start
// of the job to the next. gocron passes Lock no tick, so the tick is read from the
// job's list of pending ticks, which still has the run's own. The list alone is not
// enough: gocron also keeps ticks it has skipped, and drops those that came due
// while Lock was busy.
type jobState struct {
	locker      *Locker
	name        string
	job         gocron.Job
	traits      traits
	description string    // of the schedule
	since       time.Time // about when the job started
	extraRuns   *extraRuns
	start       starter
	queue       *standby.Queue // nil unless the job's ticks are taken over

	queries *queries

	mu           sync.Mutex
	armed        time.Time     // about when the timer of the next tick was set
	asked        time.Time     // the newest tick that was asked for
	lastDropped  time.Time     // the newest tick that gocron dropped and runDropped started a run for
	known        []time.Time   // the ticks that gocron had pending or planned at the last look
	learned      bool          // learn has looked at the job's ticks
	uncommon     bool          // the ticks differ from replica to replica
	gap          time.Duration // the shortest time between ticks
	startInstant time.Time     // the instant of a start at once, which is no tick
	startPending bool          // the run of startInstant has not come
	blockedUntil time.Time     // until when the last Lock kept gocron from other ticks
	current      *run          // the last run that holds the lock and that gocron has not unlocked
	noQuorum     bool          // the last Lock reached no quorum
	intervalFrom intervalFrom
	cached       cachedJob
	restarted    bool // the job had a jobState before, and no run of a random schedule has come since
	tasked       bool // the job's task is a Task, which says that it has begun
}

func (l *Locker) newState(name string, job gocron.Job, t traits, since time.Time, x *extraRuns, start starter, q *queries) *jobState {
	s := &jobState{locker: l, name: name, job: job, traits: t, description: describeSchedule(job.Schedule()), extraRuns: x, start: start,
		since: since, armed: since, queries: q, tasked: t.task, restarted: x.noteState()}
	if l.takesOver(name) {
		s.queue = standby.New(s)
	}
	return s
}

// cachedJob is redlock's job, kept until the options of its schedule change, which is rare.
type cachedJob struct {
	job          *redlock.Job
	spacing, gap time.Duration
}

// redlockJob returns redlock's job, with the spacing of the present schedule and,
// for a tick that is just due, a spread. Nobody competes for older ticks.
func (s *jobState) redlockJob(tick time.Time) (*redlock.Job, error) {
	spacing := s.spacing()
	s.mu.Lock()
	m, gap := s.cached, min(s.gap, wideGap)
	s.mu.Unlock()
	if tick.IsZero() || s.locker.clock.Now().Sub(tick) > DefaultSpread {
		gap = 0
	}
	if m.job != nil && m.spacing == spacing && m.gap == gap {
		return m.job, nil
	}
	j, err := s.locker.locker.NewJob(s.name, s.options(spacing, gap)...)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cached = cachedJob{j, spacing, gap}
	return j, nil
}

func (s *jobState) options(spacing, gap time.Duration) []redlock.JobOption {
	return append([]redlock.JobOption{redlock.WithSchedule(s.description, s.next)}, s.locker.jobOptions(s.name, spacing, gap)...)
}

// Claim claims a tick and does not wait for another owner.
func (s *jobState) Claim(ctx context.Context, tick time.Time) (*redlock.Lease, error) {
	j, err := s.redlockJob(tick)
	if err != nil {
		return nil, err
	}
	return j.Claim(ctx, tick)
}

// Await waits until a tick is over, or takes it over.
func (s *jobState) Await(ctx context.Context, tick time.Time) (*redlock.Lease, error) {
	j, err := s.redlockJob(time.Time{})
	if err != nil {
		return nil, err
	}
	return j.Await(ctx, tick)
}

// Start starts runs until one has accepted the lease of the stand-by, or ctx ends.
func (s *jobState) Start(ctx context.Context, accepted <-chan struct{}) {
	s.extraRuns.startUntil(ctx, s.start, accepted)
}

func (s *jobState) acquire(ctx context.Context) (*run, error) {
	if s.locker.idle() { // this run has not waited in a queue of gocron, so the queues are empty
		s.extraRuns.forgetRunNows(queueGap)
	}
	now := s.locker.clock.Now()
	d, err := askBusy(ctx, func() (due, error) { return s.due(now) })
	if d.fresh {
		err = errors.Join(err, s.enqueue(s.extraRuns.overtaken()...)) // under take-over these come before the due tick
	}
	if s.queue != nil && ctx.Err() == nil {
		if tick := s.queue.Accept(); tick != nil {
			if !d.fresh && !d.immediate {
				s.extraRuns.takeOffered()
			}
			return s.newRun(ctx, tick.Lease, tick, nil)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case d.immediate:
		return s.lockOnly(ctx)
	case d.fresh:
		return s.claimDue(ctx, d)
	}
	r, err := s.acquireExtra(ctx, d)
	if err != nil && s.traits.announces {
		go s.runDropped(ctx)
	}
	return r, err
}

func (s *jobState) claimDue(ctx context.Context, d due) (*run, error) {
	if s.queue != nil {
		return s.claimFirst(ctx)
	}
	s.reportLost(d)
	lease, err := s.Claim(ctx, d.tick)
	s.noteBlocked(errors.Is(err, redlock.ErrNoQuorum))
	return s.newRun(ctx, lease, nil, err)
}

// acquireExtra serves a run without a due tick of its own.
func (s *jobState) acquireExtra(ctx context.Context, d due) (*run, error) {
	purpose, request := s.extraRuns.take()
	switch {
	case purpose == forRunNow:
		return s.lockOnly(ctx)
	case purpose == surplus:
		return nil, fmt.Errorf("%w: %w: a run of job %q was started for a tick that another run of this replica has taken", ErrNoTick, redlock.ErrTickDone, s.name)
	case purpose == forRequest && request.triggered:
		return s.claimTriggered(ctx, request.ticks[0])
	case purpose == forRequest:
		return s.claimMissed(ctx, request.ticks)
	case d.tick.IsZero():
		return s.lockUnannounced(ctx)
	case s.queue != nil:
		return nil, s.behind()
	}
	return s.claimDue(ctx, d) // which refuses it: it was asked for before
}

// runDropped runs the tick that came due while an extra run was being refused. Some modes of gocron drop that tick, on all replicas if
// an operator has just triggered the job.
func (s *jobState) runDropped(ctx context.Context) {
	pause := time.NewTimer(firstPause) // the other modes run the tick meanwhile
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return
	}
	now := s.locker.clock.Now()
	s.mu.Lock()
	tick := newest(time.Time{}, s.known, func(t time.Time) bool { return t.After(s.asked) && t.After(s.lastDropped) && !wall(t).After(wall(now)) })
	found := !tick.IsZero() && !s.uncommon // the planned ticks of other schedules may have moved
	if found {
		s.lastDropped = tick
	}
	s.mu.Unlock()
	if found {
		ctx, cancel := context.WithTimeout(ctx, triggerTimeout)
		defer cancel()
		s.extraRuns.runTicks(ctx, s.start, false, tick)
	}
}

func (s *jobState) newRun(ctx context.Context, lease *redlock.Lease, tick *standby.Run, err error) (*run, error) {
	if err != nil {
		return nil, err
	}
	r := &run{job: ctx, name: s.name, lease: lease, locker: s.locker, state: s, tick: tick, began: s.locker.clock.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = r
	return r, nil
}

// claimFirst claims the oldest tick that stands by. Runs are interchangeable: one
// is started for each tick, and each takes the oldest tick available.
func (s *jobState) claimFirst(ctx context.Context) (*run, error) {
	tick, err := s.queue.Claim(ctx)
	switch {
	case errors.Is(err, standby.ErrBehind):
		return nil, s.behind()
	case err != nil:
		return nil, err
	}
	return s.newRun(ctx, tick.Lease, tick, nil)
}

// behind refuses a run whose tick comes after others.
func (s *jobState) behind() error {
	n := len(s.queue.Ticks())
	if n == 0 {
		return fmt.Errorf("%w: another run of job %q has already asked for the tick, which is over", ErrNoTick, s.name)
	}
	return &redlock.Error{Op: opBehind, Name: s.name, Reason: redlock.ErrTaken,
		Detail: fmt.Sprintf("%d ticks are run or stand by on this replica, and come one after the other", n)}
}

// lockOnly takes the lock without a tick, for runs that are each replica's own.
func (s *jobState) lockOnly(ctx context.Context) (*run, error) {
	s.awaitUnlock(ctx)
	var opts []redlock.MutexOption
	for _, o := range s.options(s.spacing(), 0) {
		if o, ok := o.(redlock.MutexOption); ok {
			opts = append(opts, o)
		}
	}
	m, err := s.locker.locker.NewMutex(s.name, opts...)
	if err != nil {
		return nil, err
	}
	lease, err := m.TryLock(ctx)
	return s.newRun(ctx, lease, nil, err)
}

// listenerTimeout is how long a run by RunNow waits for the one that is about to end.
const listenerTimeout = time.Second

// awaitUnlock waits until gocron has unlocked the run of this replica that holds the lock, unless its task is known to be running. A listener
// may call RunNow to repeat a failed run, but gocron unlocks only after the listener.
func (s *jobState) awaitUnlock(ctx context.Context) {
	unlocked := s.ending()
	if unlocked == nil {
		return
	}
	timer := time.NewTimer(listenerTimeout)
	defer timer.Stop()
	select {
	case <-unlocked:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ending returns a channel that is closed when the current run is unlocked, or nil if there is none whose task may have ended.
func (s *jobState) ending() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.current
	if r == nil || r.ended.IsZero() && handOver.hasBegun(r) {
		return nil
	}
	if r.unlocked == nil {
		r.unlocked = make(chan struct{})
	}
	return r.unlocked
}

// noteUnlock notes that gocron has unlocked a run.
func (s *jobState) noteUnlock(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == r {
		s.current = nil
	}
	if r.unlocked != nil {
		close(r.unlocked)
	}
}

// lockUnannounced serves a run that no tick is due for and that nobody has announced: by RunNow of gocron's own job, or one that waited
// in a queue of gocron until its tick was over.
func (s *jobState) lockUnannounced(ctx context.Context) (*run, error) {
	switch queued, reported := s.extraRuns.takeQueued(); {
	case reported:
		return nil, errReportedLost
	case queued:
		return nil, fmt.Errorf("%w: job %q waited in a queue until its tick was over or taken by the run before; use Locker.RunNow if this was a RunNow", ErrNoTick, s.name)
	}
	return s.lockOnly(ctx)
}

// vetoed reports whether a run has ended without its task. It is not known unless
// the task is a Task, which says that it has begun.
func (s *jobState) vetoed(begun bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasked = s.tasked || begun
	return s.tasked && !begun
}
