package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/redlock"
)

// Locker is a gocron.Locker that runs each tick of a job on one replica. One
// Locker serves one scheduler. It is safe for concurrent use.
type Locker struct {
	locker *redlock.Locker
	config

	attached  atomic.Pointer[attachment]
	lastEnd   atomic.Int64 // when a run of any job last ended or was refused, in ns since createdAt; 0 if none has
	createdAt time.Time
	zone      sync.Once // warns about the time zone
}

var _ gocron.Locker = (*Locker)(nil)

// NewLocker returns a Locker for gocron.WithDistributedLocker or
// gocron.WithDistributedJobLocker. Call [Locker.Attach] with the scheduler before
// its Start. NewLocker does not contact the nodes. An option that does not suit
// gives an error that matches redlock.ErrInvalid.
func NewLocker(locker *redlock.Locker, opts ...Option) (*Locker, error) {
	l, err := newLocker(locker, opts)
	switch {
	case err != nil:
		return nil, err
	case len(l.scheduler) > 0:
		return nil, invalid("NewLocker makes no scheduler; pass gocron's options to gocron.NewScheduler, or use NewScheduler of this package")
	case l.catchesUp:
		return nil, invalid("WithCatchUp needs a scheduler of NewScheduler: gocron does not tell a Locker how its jobs are defined, so what was missed is not known")
	case l.triggers:
		return nil, invalid("WithTriggers needs a scheduler of NewScheduler: gocron does not give a Locker its jobs, so there is nothing to run; make the scheduler with it")
	}
	return l, nil
}

func newLocker(locker *redlock.Locker, opts []Option) (*Locker, error) {
	c, err := newConfig(opts)
	if err == nil && locker == nil {
		err = invalid("locker is nil; make one with redlock.New")
	}
	if err == nil {
		err = c.check(locker)
	}
	if err != nil {
		return nil, err
	}
	return &Locker{locker: locker, config: c, createdAt: time.Now()}, nil
}

// Lock is called by gocron when a run is due. It never waits for another owner's
// run. While no majority of the nodes answers, it waits for redlock.WithLateness,
// or until gocron ends the job. Its error reaches AfterLockError unchanged: one of
// redlock's (ErrTickDone, ErrTaken, ErrNoQuorum, …), one of this package's, or
// ctx's. Each refusal is also an event of the redlock.Locker. A gocron.Locker that
// wraps this one must pass ctx on unchanged.
func (l *Locker) Lock(ctx context.Context, key string) (gocron.Lock, error) {
	r, err := l.acquire(ctx, key)
	return l.answer(key, r, err)
}

func (l *Locker) acquire(ctx context.Context, key string) (*run, error) {
	if err := checkName(key); err != nil {
		return nil, err
	}
	a := l.attached.Load()
	if a == nil {
		return l.acquireByTime(ctx, key)
	}
	state, err := l.stateOf(ctx, a, key)
	if err != nil {
		return nil, err
	}
	return state.acquire(ctx)
}

// acquireByTime serves a Locker that is not attached: it uses the time as the tick.
func (l *Locker) acquireByTime(ctx context.Context, key string) (*run, error) {
	if l.takesOver(key) {
		return nil, fmt.Errorf("%w: WithTakeover needs the scheduler, to start a run of %q when another replica dies; pass it to Locker.Attach", ErrNoTick, key)
	}
	j, err := l.locker.NewJob(key, l.jobOptions(key, 0, l.window)...)
	if err != nil {
		return nil, err
	}
	// Most of the window lies after the tick: a timer is often late, but early only if the wall clock was set back.
	lease, err := j.Claim(ctx, l.clock.Now().Add(l.window/10).Truncate(l.window))
	if err != nil {
		return nil, err
	}
	return &run{job: ctx, lease: lease, locker: l}, nil
}

// answer ends every call of Lock: it reports a refusal, or keeps the run for its task.
func (l *Locker) answer(key string, r *run, err error) (gocron.Lock, error) {
	if err != nil {
		l.noteEnd()
		l.reportRefusal(key, err)
		return nil, err
	}
	handOver.put(r)
	return r, nil
}

// reportRefusal reports what redlock itself has not reported.
func (l *Locker) reportRefusal(key string, err error) {
	_, reported := errors.AsType[*redlock.Error](err)
	ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) // the job's context
	if !reported && !ended && !errors.Is(err, errReportedLost) {
		l.locker.Report(redlock.Event{Kind: redlock.Refused, Name: key, Err: err})
	}
}

func (l *Locker) warn(name string, err error) {
	l.locker.Report(redlock.Event{Kind: Warning, Name: name, Err: err})
}

func (l *Locker) noteEnd() { l.lastEnd.Store(int64(time.Since(l.createdAt))) }

// idle reports whether no run of any job has just ended or been refused. A run
// that begins then has not waited in a queue of gocron.
func (l *Locker) idle() bool {
	end := l.lastEnd.Load()
	return end == 0 || time.Since(l.createdAt)-time.Duration(end) > queueGap
}

// queueGap is longer than gocron takes from the end of a run to the next in its queue, and from RunNow to a run that need not wait.
const queueGap = 5 * time.Millisecond

// RunNow calls j.RunNow on a scheduler that the Locker is attached to, and returns
// its error. The run takes the lock and no tick. A direct call of j.RunNow does the
// same, except right after a run that took longer than the job's interval: then it
// looks like a run that waited in a queue until its tick was over, and the next such
// run is refused with [ErrNoTick].
func (l *Locker) RunNow(j gocron.Job) error {
	if a := l.attached.Load(); a != nil {
		return a.extraRunsOf(j.ID()).runNow(j)
	}
	return j.RunNow()
}
