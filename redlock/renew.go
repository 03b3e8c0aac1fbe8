package redlock

import (
	"container/heap"
	"sync"
	"time"
)

// renewer renews the leases of a Locker: one timer, no goroutine per lease.
// Leases that are due within a short time of each other are renewed together,
// and so share the nodes' batches.
type renewer struct {
	mu    sync.Mutex
	due   dueHeap
	timer *time.Timer
	at    time.Time // when the timer fires; zero when it does not
	ended bool
}

// schedule sets when l is renewed next. A lease that was removed stays so.
func (r *renewer) schedule(l *Lease, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended || l.index == removed || l.t.cfg.noRenewal:
		return
	case l.index == unscheduled:
		l.due = at
		heap.Push(&r.due, l)
	default:
		l.due = at
		heap.Fix(&r.due, l.index)
	}
	r.set()
}

func (r *renewer) remove(l *Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.index >= 0 {
		heap.Remove(&r.due, l.index)
	}
	l.index = removed
}

// set moves the timer to the earliest lease, if that is earlier. A timer that
// fires too early finds nothing due and is set again.
func (r *renewer) set() {
	if len(r.due) == 0 {
		return
	}
	first := r.due[0].due
	if !r.at.IsZero() && !first.Before(r.at) {
		return
	}
	r.at = first
	if r.timer == nil {
		r.timer = time.AfterFunc(time.Until(first), r.fire)
	} else {
		r.timer.Reset(time.Until(first))
	}
}

func (r *renewer) fire() {
	now := time.Now()
	var due []*Lease
	r.mu.Lock()
	for len(r.due) > 0 {
		l := r.due[0]
		ttl := l.t.cfg.ttl
		if l.due.After(now.Add(ttl / 48)) {
			break
		}
		due = append(due, l)
		// Until this renewal has succeeded the next one is near: an error that passes ends nothing.
		l.due = now.Add(max(ttl/12, 5*time.Millisecond))
		heap.Fix(&r.due, 0)
	}
	r.at = time.Time{}
	r.set()
	r.mu.Unlock()
	for _, l := range due {
		l.renew()
	}
}

// stop ends all renewal. The leases keep their deadlines.
func (r *renewer) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.due {
		l.index = removed
	}
	r.due, r.ended = nil, true
	if r.timer != nil {
		r.timer.Stop()
	}
}

const (
	unscheduled = -1
	removed     = -2
)

// dueHeap orders leases by when they are due.
type dueHeap []*Lease

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *dueHeap) Push(x any) {
	l := x.(*Lease)
	l.index = len(*h)
	*h = append(*h, l)
}

func (h *dueHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	l.index = unscheduled
	return l
}
