package rueidis

import (
	"context"
	"sync"
	"time"
)

// testLimit is how long an idle connection has to answer a PING.
const testLimit = 500 * time.Millisecond

// punctual is a context that is over a moment after the deadline it names. A
// connection that is read until then fails while the context still stands, and
// only such a failure makes a Cluster client look for the new layout.
type punctual struct {
	context.Context
	deadline time.Time
}

const (
	moment = 20 * time.Millisecond
	// unbounded is for a context without a deadline: rueidis' own default, which
	// it does not apply to blocking commands.
	unbounded = 10 * time.Second
)

func newPunctual(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(unbounded)
	}
	longer, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(moment))
	stop := context.AfterFunc(ctx, func() {
		if time.Now().Before(deadline) { // cancelled
			cancel()
		}
	})
	return punctual{longer, deadline}, func() { stop(); cancel() }
}

// Deadline is what rueidis sets on its connection.
func (p punctual) Deadline() (time.Time, bool) { return p.deadline, true }

// connections counts how many a node has in use, and had at most: so many may
// lie idle in the client's pool, which does not tell.
type connections struct {
	mu        sync.Mutex
	busy, top int
}

// take reports whether one lies idle, so that the client need not dial.
func (c *connections) take() (idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy++
	idle = c.busy <= c.top
	c.top = max(c.top, c.busy)
	return idle
}

func (c *connections) put() {
	c.mu.Lock()
	c.busy--
	c.mu.Unlock()
}

// flush is how many may lie idle now, and forgets them.
func (c *connections) flush() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	idle := c.top - c.busy
	c.top = c.busy
	return idle
}

// leave closes the connections that lie idle, which lead to a server that
// takes no writes.
func (n *Node) leave(ctx context.Context) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		for range n.conns.flush() {
			c, _ := n.client.Dedicate()
			c.Close()
		}
	}()
	select {
	case <-left:
	case <-ctx.Done():
	}
}

// testIdle makes the connections that lie idle, but for some, answer a PING or
// be closed. One went silent; those of the same age may have, too, behind the
// same firewall, and each would cost a batch its time. In a Cluster it is done
// for the shards of keys.
func (n *Node) testIdle(but int, keys ...string) {
	idle := n.conns.flush() - but
	if idle <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	var busy sync.WaitGroup
	for _, key := range keys {
		for range idle {
			busy.Go(func() {
				ping := n.client.B().Arbitrary("PING").Blocking()
				if n.shards != nil {
					ping = ping.SetSlot(key)
				}
				n.client.Do(ctx, ping)
			})
		}
	}
	go func() {
		defer cancel()
		busy.Wait()
	}()
	time.Sleep(time.Millisecond) // until they have left the client's pool, or the next Do gets one
}
