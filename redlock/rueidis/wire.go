package rueidis

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock/internal/exchange"
)

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

// idle is how many may lie idle, so that the client need not dial.
func (c *connections) idle() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.top - c.busy
}

// take is for one that is used from now on.
func (c *connections) take() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy++
	c.top = max(c.top, c.busy)
}

// put is for one that is not used any more. rueidis has closed it if it did not
// answer.
func (c *connections) put(answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
	if !answered {
		c.top--
	}
}

// flush is how many may lie idle now, and forgets them.
func (c *connections) flush() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	idle := c.top - c.busy
	c.top = c.busy
	return idle
}

// sweep calls send for each connection that may lie idle, to use it.
func (n *Node) sweep(send func(ctx context.Context)) {
	var idle atomic.Int64
	idle.Store(int64(n.conns.flush()))
	exchange.Sweep(func() int { return int(idle.Load()) }, func(ctx context.Context) {
		idle.Add(-1) // as good as taken
		send(ctx)
	})
}
