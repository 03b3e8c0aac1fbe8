package redlocktest

import (
	"slices"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// Fault is what happens to one batch on its way. The zero Fault is a healthy
// link, and the fields may be combined.
//
// With Err, the connection breaks: Do returns it for every command, and does so
// at once, with nothing executed, unless DropReply says that the batch was
// executed and its answer was lost in the break. Without Err, a loss is
// silent: Do waits as long as its time limit lets it.
type Fault struct {
	Delay       time.Duration // added to both ways
	DropRequest bool          // the batch does not reach the server
	DropReply   bool          // the batch is executed, its answer does not come back
	Err         error
	Again       time.Duration // a copy is executed too, this long after the batch was sent; 0: none
}

// plan is a Fault for the next few batches.
type plan struct {
	left  int // negative: all
	fault Fault
}

// Inject makes the next batches of the link suffer fault: so many of them, or
// with a negative number all until [Node.Heal], and then Subscribe too. Faults
// injected one after the other take their turns.
func (n *Node) Inject(batches int, fault Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if batches != 0 {
		n.plans = append(n.plans, plan{batches, fault})
	}
}

// OnBatch lets decide choose a Fault for each batch that no injected one is
// waiting for, until [Node.Heal]. It is called by Do before anything is sent,
// may use nodes and servers, and must not change the commands.
func (n *Node) OnBatch(decide func(commands []driver.Command) Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.decide = decide
}

// Hang makes the link a black hole, also for what is on its way: nothing gets
// through in either direction and nobody is told. It lasts until [Node.Heal].
func (n *Node) Hang() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hung = true
}

// Heal ends Hang, Inject and OnBatch. What they lost stays lost, and the delay
// and the time limit stay as they are.
func (n *Node) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hung, n.plans, n.decide = false, nil, nil
}

// Disconnect breaks the link's connections: the batch under way and the
// subscriptions end with [ErrDisconnected]. A request that has not arrived is
// not executed. The next batch connects anew.
func (n *Node) Disconnect() { n.breakConnection(ErrDisconnected) }

// Delay makes each way of each batch and notice take a time between low and
// high. The default is none.
func (n *Node) Delay(low, high time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.low, n.high = low, max(low, high)
}

// Seed starts the link's delays anew. The default comes from the node's name,
// so that a history repeats.
func (n *Node) Seed(seed uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.random = newRandom(seed)
}

// Timeout sets how long Do waits at most when an answer does not come, as a
// client with a read timeout. The default is [DefaultTimeout].
func (n *Node) Timeout(limit time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.timeout = limit
}

// IgnoreDeadline makes Do ignore its context, as go-redis does by default: only
// the link's own time limit ends it. The default is to return when the context
// ends.
func (n *Node) IgnoreDeadline(ignore bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ignoreContext = ignore
}

// nextFault chooses what happens to a batch.
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
	// The lock is free again: a test restarts a server right here.
	if decide != nil {
		return decide(commands)
	}
	return Fault{}
}

// standingFault is what all batches suffer.
func (n *Node) standingFault() Fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.plans) > 0 && n.plans[0].left < 0 {
		return n.plans[0].fault
	}
	return Fault{}
}

// wayTime is how long one way takes. The caller holds n.mu.
func (n *Node) wayTime() time.Duration {
	if n.high == n.low {
		return n.low
	}
	return n.low + time.Duration(n.random.Int64N(int64(n.high-n.low)+1))
}
