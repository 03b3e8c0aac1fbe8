// Package standby keeps the ticks of one job that this replica has asked for and
// that are not known to be over, and starts a run for a tick whose holder dies.
package standby

import (
	"slices"
	"sync"
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

	mu    sync.Mutex
	ticks []*pendingTick
	led   bool
	offer *offer
}

// pendingTick is guarded by its queue.
type pendingTick struct {
	tick   time.Time
	active *activeRun // the run of this replica that holds it, or nil
}

// offer is a lease of the stand-by that waits for a run.
type offer struct {
	tick     *pendingTick
	lease    *redlock.Lease
	accepted chan struct{}
}

// New returns an empty queue.
func New(job Job) *Queue { return &Queue{job: job} }

// Add inserts a tick in order, unless it is there already, and reports whether there was room.
func (q *Queue) Add(tick time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, there := slices.BinarySearchFunc(q.ticks, tick, func(p *pendingTick, tick time.Time) int { return p.tick.Compare(tick) })
	if there {
		return true
	}
	if len(q.ticks) >= Max {
		return false
	}
	q.ticks = slices.Insert(q.ticks, i, &pendingTick{tick: tick})
	return true
}

// Len returns how many ticks run or stand by.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ticks)
}

// Ticks returns the ticks that run or stand by, in order.
func (q *Queue) Ticks() []time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	ticks := make([]time.Time, len(q.ticks))
	for i, p := range q.ticks {
		ticks[i] = p.tick
	}
	return ticks
}

func (q *Queue) remove(p *pendingTick) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.removeLocked(p)
}

func (q *Queue) removeLocked(p *pendingTick) {
	q.ticks = slices.DeleteFunc(q.ticks, func(other *pendingTick) bool { return other == p })
}

// lead makes the caller the leader, if there is none and the queue is not empty, and reports whether it did.
func (q *Queue) lead() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.led || len(q.ticks) == 0 {
		return false
	}
	q.led = true
	return true
}

// first returns the leader's next tick, and the run of this replica that holds
// it. If there is no tick left, the caller no longer leads.
func (q *Queue) first() (*pendingTick, *activeRun) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ticks) == 0 {
		q.led = false
		return nil, nil
	}
	p := q.ticks[0]
	if p.active != nil && p.active.lost() {
		return p, nil
	}
	return p, p.active
}

func (q *Queue) begin(p *pendingTick, lease *redlock.Lease) *Run {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.beginLocked(p, lease)
}

func (q *Queue) beginLocked(p *pendingTick, lease *redlock.Lease) *Run {
	p.active = &activeRun{lease: lease, over: make(chan struct{})}
	return &Run{Lease: lease, queue: q, tick: p, active: p.active}
}

// end notes that a run is over. A tick that is not known to be done stays.
func (q *Queue) end(p *pendingTick, a *activeRun, done bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(a.over)
	if p.active != a {
		return // the lease was lost, and another run of this replica has the tick
	}
	p.active = nil
	if done {
		q.removeLocked(p)
	}
}

// Accept gives the offered lease to the caller's run. It returns nil if there is none.
func (q *Queue) Accept() *Run {
	q.mu.Lock()
	defer q.mu.Unlock()
	o := q.offer
	if o == nil || o.lease.Context().Err() != nil {
		return nil
	}
	q.offer = nil
	close(o.accepted)
	return q.beginLocked(o.tick, o.lease)
}

func (q *Queue) makeOffer(p *pendingTick, lease *redlock.Lease) *offer {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.offer = &offer{p, lease, make(chan struct{})}
	return q.offer
}

// withdrawOffer reports whether the offer was still open. If so, no run can accept it any more.
func (q *Queue) withdrawOffer(o *offer) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.offer != o {
		return false
	}
	q.offer = nil
	return true
}
