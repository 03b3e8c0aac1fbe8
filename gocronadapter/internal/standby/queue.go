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
	if done {
		q.remove(r.tick)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	close(r.over)
	if q.active == r { // else the lease was lost, and another run has begun
		q.active = nil
	}
}

// lost reports whether the lease was lost, rather than held or unlocked.
func (r *Run) lost() bool { return errors.Is(context.Cause(r.Lease.Context()), redlock.ErrLost) }

// wait returns when the run is over, has lost its lease, or ctx ends.
func (r *Run) wait(ctx context.Context) {
	held := r.Lease.Context().Done()
	for {
		select {
		case <-r.over:
			return
		case <-ctx.Done():
			return
		case <-held:
			if r.lost() {
				return
			}
			held = nil // unlocked, but not over yet
		}
	}
}
