package waitqueue

import (
	"context"
	"slices"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// linger is how long the subscriptions outlive the last waiter.
const linger = 2 * time.Second

// subscription is to one node, for all waiters of the process. The queue's mutex guards it.
type subscription struct {
	cancel   context.CancelFunc
	ready    chan struct{} // closed once it is active, or has ended
	active   bool
	timedOut bool // a waiter has waited for it in vain; others do not wait
}

// failures counts the attempts in a row to subscribe to a node that failed.
type failures struct {
	count int
	until time.Time // when the next attempt may be made
	told  bool      // unheard was called
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
	s := q.subscriptions[node]
	if s == nil {
		if q.isClosed() || time.Now().Before(q.failures[node].until) {
			return false
		}
		s = q.subscribe(node, sub)
	}
	if s.active || s.timedOut {
		return s.active
	}
	q.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	late := false
	select {
	case <-s.ready:
	case <-timer.C:
		late = true
	case <-ctx.Done():
	}
	q.mu.Lock()
	s.timedOut = s.timedOut || late && !s.active
	return s.active
}

// subscribe begins a subscription. The caller holds mu.
func (q *Queue) subscribe(node int, sub driver.Subscriber) *subscription {
	ctx, cancel := context.WithCancel(context.Background())
	s := &subscription{cancel: cancel, ready: make(chan struct{})}
	q.subscriptions[node] = s
	go func() {
		err := sub.Subscribe(ctx, protocol.WakeChannel(q.id),
			func() { q.activate(node, s) },
			func(notice string) { q.notify(node, notice) })
		// The subscription ended. The next waiter begins a new one; until then waiters poll.
		q.mu.Lock()
		tell := q.failed(node, s)
		q.stop(node, s)
		q.mu.Unlock()
		if tell {
			q.unheard(q.group.Pipelines[node].Name(), protocol.WhyEnded(err))
		}
	}()
	return s
}

// failed notes that a subscription has ended, perhaps before it was active. It reports whether to call unheard. The caller holds mu.
func (q *Queue) failed(node int, s *subscription) (tell bool) {
	if s != q.subscriptions[node] || s.active {
		return false
	}
	f := &q.failures[node]
	f.count++
	f.until = time.Now().Add(protocol.SubscribePause(f.count)) // or each name that is waited for would make an attempt
	tell = f.count >= tellAfter && !f.told && !q.group.Pipelines[node].Out()
	f.told = f.told || tell
	return tell
}

// activate records that a subscription is active.
func (q *Queue) activate(node int, s *subscription) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s == q.subscriptions[node] && !s.active {
		s.active, s.timedOut, q.failures[node] = true, false, failures{}
		close(s.ready)
	}
}

// stop ends a subscription, unless it has ended and perhaps been replaced. The caller holds mu.
func (q *Queue) stop(node int, s *subscription) {
	if s == nil || s != q.subscriptions[node] {
		return
	}
	q.subscriptions[node] = nil
	s.cancel()
	if !s.active {
		close(s.ready)
	}
	s.active = false
}

// stopAll ends all subscriptions. The caller holds mu.
func (q *Queue) stopAll() {
	for node, s := range q.subscriptions {
		q.stop(node, s)
	}
}

// closeIdle ends the subscriptions after linger, unless somebody waits by then. The caller holds mu.
func (q *Queue) closeIdle() {
	switch {
	case !slices.ContainsFunc(q.subscriptions, func(s *subscription) bool { return s != nil }):
	case q.idle == nil:
		q.idle = time.AfterFunc(linger, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			if len(q.lines) == 0 {
				q.stopAll()
			}
		})
	default:
		q.idle.Reset(linger)
	}
}
