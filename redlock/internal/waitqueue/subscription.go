package waitqueue

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// linger is how long a subscription outlives the last waiter.
const linger = 2 * time.Second

// subscription is to one node, for all waiters of the process. The queue's mutex guards it.
type subscription struct {
	cancel   context.CancelFunc // nil while there is none
	ready    chan struct{}      // closed once it is active, or has failed
	active   bool
	timedOut bool // a waiter has waited for it in vain, so that others need not
	idle     *time.Timer
}

// listen sees to it that notices from a node arrive, and waits for that up to limit. It reports whether they do.
func (q *Queue) listen(ctx context.Context, node int, limit time.Duration) bool {
	sub, ok := q.group.Pipelines[node].Node().(driver.Subscriber)
	if !ok {
		return false
	}
	q.mu.Lock()
	at := &q.subscriptions[node]
	if at.cancel == nil && !q.isClosed() {
		at.begin(q, node, sub)
	}
	if at.idle != nil {
		at.idle.Stop()
	}
	ready, active, timedOut := at.ready, at.active, at.timedOut
	q.mu.Unlock()
	if active || timedOut || ready == nil {
		return active
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	late := false
	select {
	case <-ready:
	case <-timer.C:
		late = true
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if late && at.ready == ready {
		at.timedOut = !at.active
	}
	return at.active
}

func (s *subscription) begin(q *Queue, node int, sub driver.Subscriber) {
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	s.cancel, s.ready, s.active, s.timedOut = cancel, ready, false, false
	go func() {
		defer cancel()
		_ = sub.Subscribe(ctx, protocol.WakeChannel(q.id),
			func() { q.setSubscribed(s, ready, true) },
			func(notice string) { q.notify(node, notice) })
		// It was lost or stopped. The next waiter begins a new one; until then waiters poll.
		q.setSubscribed(s, ready, false)
	}()
}

// setSubscribed records that a subscription is active, or has ended.
func (q *Queue) setSubscribed(s *subscription, ready chan struct{}, active bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.ready != ready {
		return // it was stopped, and another may have begun
	}
	s.done()
	s.active, s.timedOut = active, false
	if !active {
		s.cancel, s.ready = nil, nil
	}
}

// done wakes those who wait for the subscription to be active.
func (s *subscription) done() {
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
}

func (s *subscription) stop() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.done()
	s.cancel, s.ready, s.active = nil, nil, false
}

// closeIdle ends the subscriptions after a while, unless somebody waits again by then. The caller holds mu.
func (q *Queue) closeIdle() {
	for i := range q.subscriptions {
		s := &q.subscriptions[i]
		switch {
		case s.cancel == nil:
		case s.idle == nil:
			s.idle = time.AfterFunc(linger, func() {
				q.mu.Lock()
				defer q.mu.Unlock()
				if len(q.lines) == 0 {
					s.stop()
				}
			})
		default:
			s.idle.Reset(linger)
		}
	}
}
