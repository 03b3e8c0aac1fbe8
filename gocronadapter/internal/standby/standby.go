// Package standby keeps the ticks of one job that this replica has asked for and
// that are not known to be over, and starts a run for a tick whose holder dies.
package standby

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock"
)

// Job claims ticks under redlock.WithTakeover. Claim never waits. Await waits
// until the tick is over or can be taken over. Start starts runs of the job,
// each of which calls [Queue.Accept], until accepted is closed or ctx ends.
type Job interface {
	Claim(ctx context.Context, tick time.Time) (*redlock.Lease, error)
	Await(ctx context.Context, tick time.Time) (*redlock.Lease, error)
	Start(ctx context.Context, accepted <-chan struct{})
}

// ErrBehind refuses a run because earlier ticks of the job run, or stand by, on
// this replica.
var ErrBehind = errors.New("standby: earlier ticks are not over")

// Max bounds the ticks of a job that stand by. It is more than one a second for
// redlock.DefaultRetention; older ticks are refused anyway.
const Max = 1000

// Queue holds a job's pending ticks in order. Only the first of them is ever
// claimed, because a tick that was run ends all those before it. One goroutine
// at a time leads the queue: a call of [Queue.Claim], or the stand-by. It is
// safe for concurrent use.
type Queue struct {
	job Job
	led atomic.Bool

	mu      sync.Mutex
	ticks   []time.Time
	active  *Run // the newest run of this replica, until it is over
	offered *Run // has a lease of the stand-by, and has not begun
}

// Run is a run of this replica that holds the lease of its tick.
type Run struct {
	Lease    *redlock.Lease
	queue    *Queue
	tick     time.Time
	accepted chan struct{} // closed when an offered run begins
	over     chan struct{}
}

// New returns an empty queue.
func New(job Job) *Queue { return &Queue{job: job} }

// Add inserts a tick in order, unless it is there already, and reports whether there was room.
func (q *Queue) Add(tick time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, there := slices.BinarySearchFunc(q.ticks, tick, time.Time.Compare)
	if !there && len(q.ticks) < Max {
		q.ticks, there = slices.Insert(q.ticks, i, tick), true
	}
	return there
}

// Ticks returns the ticks that run or stand by, in order.
func (q *Queue) Ticks() []time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.ticks)
}

func (q *Queue) remove(tick time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ticks = slices.DeleteFunc(q.ticks, tick.Equal)
}

// first returns the leader's next tick, and the run of this replica that holds
// it. If there is no tick left, it returns zero, and the caller no longer leads.
func (q *Queue) first() (time.Time, *Run) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ticks) == 0 {
		q.led.Store(false)
		return time.Time{}, nil
	}
	if a := q.active; a != nil && a.tick.Equal(q.ticks[0]) && !a.lost() {
		return q.ticks[0], a
	}
	return q.ticks[0], nil
}

func (q *Queue) begin(tick time.Time, lease *redlock.Lease) *Run {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.active = &Run{Lease: lease, queue: q, tick: tick, over: make(chan struct{})}
	return q.active
}

// offer lets a run begin whose lease the stand-by has. Without one it withdraws the offer, and reports whether that was still open.
func (q *Queue) offer(r *Run) (open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	open, q.offered = q.offered != nil, r
	return open
}

// Accept gives the offered lease to the caller's run. It returns nil if there is none.
func (q *Queue) Accept() *Run {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.offered
	if r == nil || r.Lease.Context().Err() != nil {
		return nil
	}
	q.active, q.offered = r, nil
	close(r.accepted)
	return r
}

// End says that the run is over, and whether its tick is known to be done. If not,
// as after a failed unlock, the stand-by claims the tick again and finds out.
func (r *Run) End(done bool) {
	q := r.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	close(r.over)
	if q.active != r {
		return // the lease was lost, and another run has begun
	}
	q.active = nil
	if done {
		q.ticks = slices.DeleteFunc(q.ticks, r.tick.Equal)
	}
}

// lost reports whether the lease was lost, rather than held or unlocked.
func (r *Run) lost() bool { return errors.Is(context.Cause(r.Lease.Context()), redlock.ErrLost) }

// wait returns when the run is over, has lost its lease, or ctx ends.
func (r *Run) wait(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.Lease.Context(), func() {
		if r.lost() {
			cancel()
		}
	})()
	select {
	case <-r.over:
	case <-ctx.Done():
	}
}

// Claim claims the first tick of the queue that is not over. If that is held
// elsewhere, it and the ticks behind it stand by until ctx, the job's own context,
// ends. The error is ErrBehind or one of the Job's.
func (q *Queue) Claim(ctx context.Context) (*Run, error) {
	if !q.led.CompareAndSwap(false, true) {
		return nil, ErrBehind
	}
	over := ErrBehind
	for {
		tick, active := q.first()
		switch {
		case tick.IsZero():
			return nil, over
		case active != nil:
			go q.standBy(ctx)
			return nil, ErrBehind
		}
		lease, err := q.job.Claim(ctx, tick)
		switch {
		case err == nil:
			run := q.begin(tick, lease)
			go q.standBy(ctx)
			return run, nil
		case ctx.Err() == nil && (errors.Is(err, redlock.ErrTaken) || errors.Is(err, redlock.ErrNoQuorum)):
			go q.standBy(ctx)
			return nil, err
		}
		q.remove(tick)
		over = err
	}
}

// standBy leads the queue until it is empty or the job ends. It waits until the
// first tick is over, or takes it over when its holder dies. It watches runs of
// this replica too, since they may lose their lease.
func (q *Queue) standBy(ctx context.Context) {
	for ctx.Err() == nil {
		tick, active := q.first()
		if tick.IsZero() {
			return
		}
		if active != nil {
			active.wait(ctx)
			continue
		}
		lease, err := q.job.Await(ctx, tick)
		switch {
		case err == nil:
			q.startRun(ctx, tick, lease)
		case ctx.Err() == nil:
			q.remove(tick) // the tick is over, or too old; redlock's observer knows
		}
	}
}

// startRun starts runs of the job until one accepts the lease. If none does, because
// the scheduler is busy, stopped or drops runs, the tick must neither be kept from
// the other replicas nor be marked as done: the lease is abandoned, and this replica
// waits for a while before it asks again.
func (q *Queue) startRun(ctx context.Context, tick time.Time, lease *redlock.Lease) {
	validity := time.Until(lease.ValidUntil())
	r := &Run{Lease: lease, queue: q, tick: tick, accepted: make(chan struct{}), over: make(chan struct{})}
	q.offer(r)
	held, stop := lease.Bind(ctx)
	defer stop()
	limited, cancel := context.WithTimeout(held, validity)
	defer cancel()
	q.job.Start(limited, r.accepted)
	if !q.offer(nil) {
		return // a run has it
	}
	_ = lease.Abandon(ctx) // a failure is an event
	select {
	case <-time.After(validity + validity/4):
	case <-ctx.Done():
	}
}
