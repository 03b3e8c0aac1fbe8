package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/gocronadapter/internal/standby"
	"github.com/redtick/redtick/redlock"
)

// jobState is what one replica knows about the ticks of one job, from one start
// of the job to the next. gocron passes Lock no tick, so the tick is read from the
// job's list of pending ticks, which still has the run's own. The list alone is not
// enough: gocron also keeps ticks it has skipped, and drops those that came due
// while Lock was busy.
type jobState struct {
	*jobLocker
	ctx         context.Context // of the job: gocron makes a new one at each start
	description string          // of the schedule
	since       time.Time       // about when the job started
	queue       *standby.Queue  // nil unless the job's ticks are taken over

	mu                       sync.Mutex
	armed                    time.Time     // about when the timer of the next tick was set
	asked                    time.Time     // the newest tick that was asked for
	lastDropped              time.Time     // the newest tick that gocron dropped and runDropped started a run for
	known                    []time.Time   // the ticks that gocron had pending or planned at the last look
	learned                  bool          // learn has looked at the job's ticks
	uncommon                 bool          // the ticks differ from replica to replica
	gap                      time.Duration // the shortest time between ticks
	startInstant             time.Time     // the instant of a start at once, which is no tick
	startPending             bool          // the run of startInstant has not come
	blockedUntil             time.Time     // the end of the last Lock: gocron plans the next tick only then, and drops or queues those in between
	noQuorum                 bool          // the last Lock reached no quorum
	cached                   *redlock.Job  // kept until the options of the schedule change, which is rare
	cachedSpacing, cachedGap time.Duration
	restarted                bool // the job had a jobState before, and no run of a random schedule has come since

	resting atomic.Pointer[bool] // whether the job rests after its runs, once that is known
	current atomic.Pointer[run]  // the last run that holds the lock and that gocron has not unlocked
	tasked  atomic.Bool          // the job's task is a Task: a run that ends before it has begun was vetoed. It is not known of other tasks
}

func newState(ctx context.Context, l *jobLocker, since time.Time) *jobState {
	s := &jobState{jobLocker: l, ctx: ctx, description: describeSchedule(l.job.Schedule()), since: since, armed: since, restarted: l.extraRuns.hadState.Swap(true)}
	s.tasked.Store(l.task)
	if l.locker.takesOver(l.name) {
		s.queue = standby.New(s)
	}
	return s
}

// redlockJob returns redlock's job, with the spacing of the present schedule and,
// for a tick that is just due, a spread. An older one is late enough.
func (s *jobState) redlockJob(tick time.Time) (*redlock.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	spacing, gap := s.spacing(), min(s.gap, wideGap)
	if tick.IsZero() || s.locker.clock.Now().Sub(tick) > DefaultSpread {
		gap = 0
	}
	if s.cached != nil && s.cachedSpacing == spacing && s.cachedGap == gap {
		return s.cached, nil
	}
	j, err := s.locker.locker.NewJob(s.name, s.options(spacing, gap)...)
	if err == nil {
		s.cached, s.cachedSpacing, s.cachedGap = j, spacing, gap
	}
	return j, err
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

func (s *jobState) acquire(ctx context.Context) (*run, error) {
	if s.locker.idle() { // this run has not waited in a queue of gocron, so the queues are empty
		s.extraRuns.forgetRunNows(queueGap)
	}
	now := s.locker.clock.Now()
	d, err := askBusy(ctx, func() (due, error) { return s.due(ctx, now) })
	if d.fresh {
		err = errors.Join(err, s.enqueue(s.extraRuns.overtaken()...)) // under take-over these come before the due tick
	}
	if s.queue != nil && ctx.Err() == nil {
		if tick := s.queue.Accept(); tick != nil {
			if !d.fresh && !d.immediate {
				s.extraRuns.started.take()
			}
			r, err := s.newRun(ctx, tick.Lease, tick, nil)
			r.extra = !d.fresh
			return r, err
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
	switch {
	case err == nil:
		r.extra = true
	case s.scheduler != nil:
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
	now := s.locker.clock.Now()
	s.mu.Lock()
	s.blockedUntil, s.noQuorum = now, errors.Is(err, redlock.ErrNoQuorum)
	s.mu.Unlock()
	return s.newRun(ctx, lease, nil, err)
}

// acquireExtra serves a run without a due tick of its own.
func (s *jobState) acquireExtra(ctx context.Context, d due) (*run, error) {
	x := s.extraRuns
	switch {
	case !x.triggerWaits() && x.runNows.take(): // gocron may have dropped the RunNow, so a trigger comes first
		return s.lockOnly(ctx)
	case x.started.take():
		return s.claimRequest(ctx, x.next())
	case x.runNows.take():
		return s.lockOnly(ctx)
	case d.tick.IsZero():
		return s.lockUnannounced(ctx)
	case s.queue != nil:
		return nil, s.behind()
	}
	return s.claimDue(ctx, d) // which refuses it: it was asked for before
}

// claimRequest serves a run that was started for ticks. Without take-over only the newest counts.
func (s *jobState) claimRequest(ctx context.Context, r *request) (*run, error) {
	switch {
	case r == nil:
		return nil, fmt.Errorf("%w: %w: a run of job %q was started for a tick that another run of this replica has taken", ErrNoTick, redlock.ErrTickDone, s.name)
	case r.triggered:
		return s.claimTriggered(ctx, r.ticks[0])
	case s.queue == nil:
		lease, err := s.Claim(ctx, r.ticks[len(r.ticks)-1])
		return s.newRun(ctx, lease, nil, err)
	}
	if err := s.enqueue(r.ticks...); err != nil {
		return nil, err
	}
	return s.claimFirst(ctx)
}

// claimTriggered serves a run that was started for a trigger.
func (s *jobState) claimTriggered(ctx context.Context, tick time.Time) (*run, error) {
	job, err := s.redlockJob(time.Time{})
	if err != nil {
		return nil, err
	}
	lease, err := job.Triggered().Claim(ctx, tick)
	r, err := s.newRun(ctx, lease, nil, err)
	if err == nil {
		r.triggered = true
	}
	return r, err
}

// runDropped runs the tick that came due while an extra run was being refused. Some modes of gocron drop that tick, on all replicas if
// an operator has just triggered the job.
func (s *jobState) runDropped(ctx context.Context) {
	select {
	case <-time.After(firstPause): // the other modes run the tick meanwhile
	case <-ctx.Done():
		return
	}
	now := s.locker.clock.Now()
	s.mu.Lock()
	tick := newest(time.Time{}, s.known, func(t time.Time) bool {
		return !s.uncommon && t.After(s.asked) && t.After(s.lastDropped) && !wall(t).After(wall(now)) // uncommon ones may have moved
	})
	if !tick.IsZero() {
		s.lastDropped = tick
	}
	s.mu.Unlock()
	if !tick.IsZero() {
		s.runTicks(ctx, triggerTimeout, false, tick)
	}
}

func (s *jobState) newRun(ctx context.Context, lease *redlock.Lease, tick *standby.Run, err error) (*run, error) {
	if err != nil {
		return nil, err
	}
	r := &run{job: ctx, lease: lease, locker: s.locker, state: s, tick: tick, began: s.locker.clock.Now()}
	s.current.Store(r)
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
	err := &redlock.Error{Op: "stand by", Name: s.name, Reason: redlock.ErrTaken,
		Detail: fmt.Sprintf("%d ticks are run or stand by on this replica, and come one after the other", n)}
	s.locker.locker.Report(redlock.Event{Kind: redlock.Refused, Name: s.name, Err: err})
	return err
}

// lockOnly takes the lock without a tick, for runs that are each replica's own.
func (s *jobState) lockOnly(ctx context.Context) (*run, error) {
	s.awaitUnlock(ctx)
	s.mu.Lock()
	spacing := s.spacing()
	s.mu.Unlock()
	var opts []redlock.MutexOption
	for _, o := range s.options(spacing, 0) {
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
	ending := func() bool {
		r := s.current.Load()
		return r != nil && (r.ended.Load() != nil || !r.begun.Load())
	}
	for limit := time.Now().Add(listenerTimeout); ending() && time.Now().Before(limit) && ctx.Err() == nil; {
		time.Sleep(queueGap)
	}
}

// lockUnannounced serves a run that no tick is due for and that nobody has announced: by RunNow of gocron's own job, or one that waited
// in a queue of gocron until its tick was over.
func (s *jobState) lockUnannounced(ctx context.Context) (*run, error) {
	if s.extraRuns.queued.take() {
		if s.extraRuns.reported.take() {
			return nil, errReportedLost
		}
		return nil, fmt.Errorf("%w: job %q waited in a queue until its tick was over or taken by the run before; use Locker.RunNow if this was a RunNow", ErrNoTick, s.name)
	}
	return s.lockOnly(ctx)
}
