package rueidis

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock/internal/exchange"
)

// punctual is a context that ends shortly after the deadline it reports. A read
// that times out at the deadline then fails before the context ends, and only such
// a failure makes a Cluster client reload its layout.
type punctual struct {
	context.Context
	deadline time.Time
}

const (
	// leeway is the time between the reported deadline and the end of a punctual.
	leeway = 20 * time.Millisecond
	// defaultLimit is for contexts without a deadline: rueidis' own default, which
	// it does not apply to blocking commands.
	defaultLimit = 10 * time.Second
)

func newPunctual(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(defaultLimit)
	}
	longer, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(leeway))
	stop := context.AfterFunc(ctx, func() {
		if time.Now().Before(deadline) { // cancelled
			cancel()
		}
	})
	return punctual{longer, deadline}, func() { stop(); cancel() }
}

// Deadline returns the deadline that rueidis sets on its connection.
func (p punctual) Deadline() (time.Time, bool) { return p.deadline, true }

// connections estimates how many of the node's connections are idle in the
// client's pool, which does not expose that.
type connections struct {
	mu   sync.Mutex
	busy int
	open int // at most; includes busy
}

// idle returns how many connections may be idle, so that the client need not dial.
func (c *connections) idle() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open - c.busy
}

// take counts a connection as busy.
func (c *connections) take() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy++
	c.open = max(c.open, c.busy)
}

// put ends a take. If the connection did not answer, rueidis has closed it.
func (c *connections) put(answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
	if !answered {
		c.open--
	}
}

// flush returns how many connections may be idle, and no longer counts them.
func (c *connections) flush() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	idle := c.open - c.busy
	c.open = c.busy
	return idle
}

// sweep calls send once for each connection that may be idle.
func (n *Node) sweep(send func(ctx context.Context)) {
	var idle atomic.Int64
	idle.Store(int64(n.conns.flush()))
	exchange.Sweep(func() int { return int(idle.Load()) }, func(ctx context.Context) {
		idle.Add(-1) // send is about to take it
		send(ctx)
	})
}
