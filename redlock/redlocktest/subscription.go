package redlocktest

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// subscription is one Subscribe. Its fields are guarded by Server.mu.
type subscription struct {
	node    *Node
	channel string
	trip    *trip // its connection
	closed  bool
	notices []notice
	arrived chan struct{} // holds one
}

type notice struct {
	due     time.Time
	message string
}

// Subscribe implements [driver.Subscriber]. Messages on a hung link are lost
// silently.
func (n *Node) Subscribe(ctx context.Context, channel string, ready func(), deliver func(string)) error {
	t := n.depart(1, n.standingFault())
	defer n.forget(t)
	// Unlike a batch, a subscription ends with its context in every client.
	t.ignoreContext = false
	sub := &subscription{node: n, channel: channel, trip: t, arrived: make(chan struct{}, 1)}
	defer n.server.unsubscribe(sub)
	t.run = func() []driver.Reply { return []driver.Reply{{Err: n.server.subscribe(sub)}} }
	if err := n.travel(ctx, t)[0].Err; err != nil {
		return err
	}
	ready()
	return sub.listen(ctx, deliver)
}

// subscribe adds a subscription. The caller holds s.mu.
func (s *Server) subscribe(sub *subscription) error {
	if err := s.redis.Refused([]string{"SUBSCRIBE", sub.channel}); err != nil {
		return err
	}
	if !sub.closed {
		s.subscriptions = append(s.subscriptions, sub)
	}
	return nil
}

func (s *Server) unsubscribe(sub *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.closed = true
	s.subscriptions = slices.DeleteFunc(s.subscriptions, func(other *subscription) bool { return other == sub })
}

// publish returns the number of subscribers. The caller holds s.mu.
func (s *Server) publish(channel, message string) int64 {
	receivers := int64(0)
	for _, sub := range s.subscriptions {
		if sub.channel == channel {
			receivers++
			sub.push(message)
		}
	}
	return receivers
}

// disconnect ends the connections of the subscribers. The caller holds s.mu.
func (s *Server) disconnect() int64 {
	for _, sub := range s.subscriptions {
		sub.closed = true
		select {
		case sub.trip.answered <- []driver.Reply{{Err: io.EOF}}:
		default: // already broken
		}
	}
	ended := int64(len(s.subscriptions))
	s.subscriptions = nil
	return ended
}

// push queues a message for delivery, in order.
func (sub *subscription) push(message string) {
	if !sub.node.passes(sub.trip) {
		return
	}
	sub.node.mu.Lock()
	due := time.Now().Add(sub.node.wayTime())
	sub.node.mu.Unlock()
	sub.notices = append(sub.notices, notice{due, message})
	select {
	case sub.arrived <- struct{}{}:
	default:
	}
}

func (sub *subscription) listen(ctx context.Context, deliver func(string)) error {
	for {
		var timer <-chan time.Time
		if next, ok := sub.next(); ok {
			timer = time.After(time.Until(next.due))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case broken := <-sub.trip.answered:
			return broken[0].Err
		case <-sub.arrived:
		case <-timer:
			if message := sub.pop(); sub.node.passes(sub.trip) {
				deliver(message)
			}
		}
	}
}

func (sub *subscription) next() (notice, bool) {
	sub.node.server.mu.Lock()
	defer sub.node.server.mu.Unlock()
	if len(sub.notices) == 0 {
		return notice{}, false
	}
	return sub.notices[0], true
}

func (sub *subscription) pop() string {
	sub.node.server.mu.Lock()
	defer sub.node.server.mu.Unlock()
	message := sub.notices[0].message
	sub.notices = sub.notices[1:]
	return message
}
