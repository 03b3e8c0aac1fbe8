package waitqueue

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// linger is how long the subscriptions outlive the last waiter.
const linger = 2 * time.Second

// subscription is to one node, for all waiters of the process. The queue's mutex guards it.
type subscription struct {
	cancel   context.CancelFunc // nil while there is none
	ready    chan struct{}      // closed once it is active, or has ended
	active   bool
	timedOut bool      // a waiter has waited for it in vain; others do not wait
	failures int       // how many attempts in a row failed
	retryAt  time.Time // when the next attempt may be made
	told     bool      // unheard was called for these failures
}

// tellAfter is how many failures take about 3 s, in which a node that is down is reported as out.
const tellAfter = 5

// listen subscribes to a node's notices if needed, and waits up to limit until the subscription is active. It reports whether
// it is.
func (q *Queue) listen(ctx context.Context, node int, limit time.Duration) bool {
	sub, ok := q.group.Pipelines[node].Node().(driver.Subscriber)
	if !ok {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	s := &q.subscriptions[node]
	if s.cancel == nil {
		if q.closing.Err() != nil || time.Now().Before(s.retryAt) {
			return false
		}
		q.subscribe(node, sub)
	}
	if s.active || s.timedOut {
		return s.active
	}
	ready := s.ready
	q.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-ready:
	case <-limited.Done():
	}
	q.mu.Lock()
	s.timedOut = s.timedOut || !s.active && limited.Err() != nil && ctx.Err() == nil
	return s.active
}

// subscribe begins a subscription. The caller holds mu.
func (q *Queue) subscribe(node int, sub driver.Subscriber) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &q.subscriptions[node]
	s.cancel, s.ready = cancel, make(chan struct{})
	go func() {
		err := sub.Subscribe(ctx, protocol.WakeChannel(q.id), func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			if ctx.Err() == nil && !s.active {
				*s = subscription{cancel: cancel, ready: s.ready, active: true}
				close(s.ready)
			}
		}, func(notice string) { q.notify(node, notice) })
		// The subscription ended. The next waiter begins a new one; until then waiters poll.
		q.mu.Lock()
		tell := false
		if ctx.Err() == nil { // else end was called, and s may be the next one
			if !s.active {
				s.failures++
				s.retryAt = time.Now().Add(protocol.SubscribePause(s.failures)) // or each name that is waited for would make an attempt
				tell = s.failures >= tellAfter && !s.told && !q.group.Pipelines[node].Out()
				s.told = s.told || tell
			}
			s.end()
		}
		q.mu.Unlock()
		if tell {
			q.unheard(q.group.Pipelines[node].Name(), protocol.WhyEnded(err))
		}
	}()
}

// end ends a subscription if there is one. The caller holds the queue's mutex.
func (s *subscription) end() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	if !s.active {
		close(s.ready)
	}
	s.cancel, s.active, s.timedOut = nil, false, false
}

// unsubscribe ends all subscriptions. The caller holds mu.
func (q *Queue) unsubscribe() {
	for node := range q.subscriptions {
		q.subscriptions[node].end()
	}
}
