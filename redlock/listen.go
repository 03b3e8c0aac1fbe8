package redlock

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

const (
	// wakeChannel is followed by the waiting process's id; a notice says which token of which name was released.
	wakeChannel = "redtick:wake:"
	// linger is how long a subscription outlives the last waiter.
	linger = 2 * time.Second
)

// listener is the subscription to one node. Its lines guard it.
type listener struct {
	cancel context.CancelFunc // nil while there is none
	ready  chan struct{}      // closed once it stands, or has failed
	up     bool
	slow   bool // it was waited for in vain
	idle   *time.Timer
}

// listen makes sure that notices from a node arrive. It tells whether they do.
func (q *lines) listen(ctx context.Context, node int, limit time.Duration) bool {
	sub, ok := q.locker.boxes[node].node.(driver.Subscriber)
	if !ok {
		return false
	}
	q.mu.Lock()
	at := &q.listeners[node]
	if at.cancel == nil && !q.closed {
		at.begin(q, node, sub)
	}
	if at.idle != nil {
		at.idle.Stop()
	}
	ready, up, slow := at.ready, at.up, at.slow
	q.mu.Unlock()
	if up || slow || ready == nil {
		return up
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ready:
	case <-timer.C:
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	at.slow = !at.up
	return at.up
}

func (at *listener) begin(q *lines, node int, sub driver.Subscriber) {
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	at.cancel, at.ready, at.up, at.slow = cancel, ready, false, false
	go func() {
		defer cancel()
		_ = sub.Subscribe(ctx, wakeChannel+q.id,
			func() { q.standing(at, ready, true) },
			func(notice string) { q.notified(node, notice) })
		// Lost or stopped: the next waiter begins anew, and until then waiters ask after a back-off.
		q.standing(at, ready, false)
	}()
}

// standing notes that a subscription stands or has ended.
func (q *lines) standing(at *listener, ready chan struct{}, up bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at.ready != ready {
		return // it was stopped, and another has begun
	}
	select {
	case <-ready:
	default:
		close(ready)
	}
	at.up, at.slow = up, false
	if !up {
		at.cancel, at.ready = nil, nil
	}
}

func (at *listener) stop() {
	if at.cancel != nil {
		at.cancel()
		at.cancel, at.up = nil, false
		if at.ready != nil {
			select {
			case <-at.ready:
			default:
				close(at.ready)
			}
			at.ready = nil
		}
	}
}

// hush ends the subscriptions, unless somebody waits again soon.
func (q *lines) hush() {
	for i := range q.listeners {
		at := &q.listeners[i]
		switch {
		case at.cancel == nil:
		case at.idle == nil:
			at.idle = time.AfterFunc(linger, func() {
				q.mu.Lock()
				defer q.mu.Unlock()
				if len(q.byName) == 0 {
					at.stop()
				}
			})
		default:
			at.idle.Reset(linger)
		}
	}
}
