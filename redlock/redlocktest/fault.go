package redlocktest

import (
	"slices"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// Fault describes what happens to one batch in transit. The zero Fault does
// nothing, and the fields may be combined.
type Fault struct {
	// Delay is added to each direction.
	Delay time.Duration
	// DropRequest keeps the batch from the server, and DropReply loses its reply
	// after the execution. Without Err, Do then waits until its timeout.
	DropRequest, DropReply bool
	// Err, if not nil, breaks the connection: Do returns it for every command. It
	// returns at once and nothing is executed, or, with DropReply, after the
	// execution.
	Err error
	// Again, if positive, executes a copy that long after the batch was sent.
	Again time.Duration
}

// plan is a Fault for the next few batches.
type plan struct {
	left  int // negative: all
	fault Fault
}

// Inject applies fault to the next batches of the link. If batches is negative, it
// applies to all, and to Subscribe, until [Node.Heal]. Faults apply in the order of
// the calls of Inject.
func (n *Node) Inject(batches int, fault Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if batches != 0 {
		n.plans = append(n.plans, plan{batches, fault})
	}
}

// OnBatch lets decide choose the Fault of each batch, unless an injected one
// applies, until [Node.Heal]. Do calls decide before it sends anything. decide may
// use nodes and servers, and must not change the commands.
func (n *Node) OnBatch(decide func(commands []driver.Command) Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.decide = decide
}

// Hang makes the link a black hole until [Node.Heal]: everything sent in either
// direction, including batches in flight, is lost silently.
func (n *Node) Hang() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hung = true
}

// Heal ends Hang, Inject and OnBatch. Lost batches stay lost. The delay and the
// timeout do not change.
func (n *Node) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hung, n.plans, n.decide = false, nil, nil
}

// Disconnect breaks the link's connections: batches in flight and subscriptions end
// with [ErrDisconnected]. A request that has not arrived is not executed. The next
// batch reconnects.
func (n *Node) Disconnect() { n.breakConnection(ErrDisconnected) }

// Delay sets the time that a batch or notice takes in each direction, random between
// low and high. Default 0.
func (n *Node) Delay(low, high time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.low, n.high = low, max(low, high)
}

// Seed reseeds the link's random delays. The default seed is derived from the node's
// name, so that runs are reproducible.
func (n *Node) Seed(seed uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.random = newRandom(seed)
}

// Timeout sets how long Do waits for an answer, like a client's read timeout.
// Default [DefaultTimeout].
func (n *Node) Timeout(limit time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.timeout = limit
}

// IgnoreDeadline makes Do ignore its context, as go-redis does by default: only the
// link's timeout ends it. By default Do returns when its context ends.
func (n *Node) IgnoreDeadline(ignore bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ignoreContext = ignore
}

// nextFault returns the fault of the next batch.
func (n *Node) nextFault(commands []driver.Command) Fault {
	n.mu.Lock()
	if len(n.plans) > 0 {
		defer n.mu.Unlock()
		next := &n.plans[0]
		fault := next.fault
		if next.left--; next.left == 0 {
			n.plans = slices.Delete(n.plans, 0, 1)
		}
		return fault
	}
	decide := n.decide
	n.mu.Unlock()
	// Without the lock, because decide may use nodes and servers.
	if decide != nil {
		return decide(commands)
	}
	return Fault{}
}

// standingFault returns the fault that applies to all batches, if any.
func (n *Node) standingFault() Fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.plans) > 0 && n.plans[0].left < 0 {
		return n.plans[0].fault
	}
	return Fault{}
}

// wayTime returns the delay of one direction. The caller holds n.mu.
func (n *Node) wayTime() time.Duration {
	if n.high == n.low {
		return n.low
	}
	return n.low + time.Duration(n.random.Int64N(int64(n.high-n.low)+1))
}
