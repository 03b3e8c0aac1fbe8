package redlocktest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest/internal/memredis"
)

// DefaultTimeout is how long a [Node] waits for an answer; [Node.Timeout] changes
// it.
const DefaultTimeout = 5 * time.Second

// ErrDisconnected is the error of batches and subscriptions that [Node.Disconnect]
// ends.
var ErrDisconnected = errors.New("redlocktest: read: connection reset by peer")

// Node is one client's link to a [Server]. It may be told to misbehave at any
// time. It is safe for concurrent use.
type Node struct {
	name   string
	server *Server

	mu            sync.Mutex // never held while waiting; taken after Server.mu
	low, high     time.Duration
	random        *rand.Rand
	timeout       time.Duration
	ignoreContext bool
	hung          bool
	plans         []plan
	decide        func([]driver.Command) Fault
	connection    int // the number of the current one; each break increments it
	underWay      map[*trip]struct{}
}

var (
	_ driver.Node       = (*Node)(nil)
	_ driver.Subscriber = (*Node)(nil)
	_ fmt.Stringer      = (*Node)(nil)
)

// Node returns a new link to the server, without faults or delay. The links of one
// [redlock.Locker] need different names.
func (s *Server) Node(name string) *Node {
	seed := fnv.New64a()
	seed.Write([]byte(name))
	n := &Node{
		name:     name,
		server:   s,
		random:   newRandom(seed.Sum64()),
		timeout:  DefaultTimeout,
		underWay: make(map[*trip]struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = append(s.nodes, n)
	return n
}

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

// String returns the name of the link.
func (n *Node) String() string { return n.name }

// Do sends commands to the server and returns the replies. It returns early when
// the connection breaks, at the link's timeout, and, unless [Node.IgnoreDeadline]
// is set, when ctx ends. The server may still execute the batch then.
func (n *Node) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	batch, err := texts(commands)
	if err != nil {
		return failed(len(commands), err)
	}
	t := n.depart(len(batch), n.nextFault(commands))
	defer n.forget(t)
	t.run = func() []driver.Reply { return n.server.execute(batch) }
	return n.travel(ctx, t)
}

// texts copies a batch, because the caller may reuse its slices while a slow batch
// is still in flight.
func texts(commands []driver.Command) ([][]string, error) {
	batch := make([][]string, len(commands))
	for i, command := range commands {
		if len(command) == 0 {
			return nil, memredis.ErrEmpty
		}
		batch[i] = make([]string, len(command))
		for j, element := range command {
			text, ok := element.(string)
			if !ok {
				return nil, fmt.Errorf("redlocktest: element %d of %v is a %T, want a string", j, command[0], element)
			}
			batch[i][j] = text
		}
	}
	return batch, nil
}

// trip is a batch on its way there and back.
type trip struct {
	size          int
	fault         Fault
	there, back   time.Duration
	connection    int
	timeout       time.Duration
	ignoreContext bool
	run           func() []driver.Reply
	answered      chan []driver.Reply // of capacity 1; later answers are dropped
}

func (n *Node) depart(size int, fault Fault) *trip {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := &trip{
		size:          size,
		fault:         fault,
		connection:    n.connection,
		timeout:       n.timeout,
		ignoreContext: n.ignoreContext,
		answered:      make(chan []driver.Reply, 1),
	}
	t.there, t.back = n.wayTime()+t.fault.Delay, n.wayTime()+t.fault.Delay
	n.underWay[t] = struct{}{}
	return t
}

func (n *Node) forget(t *trip) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.underWay, t)
}

func (n *Node) travel(ctx context.Context, t *trip) []driver.Reply {
	if t.fault.Err != nil && !t.fault.DropReply {
		return failed(t.size, t.fault.Err)
	}
	if err := ctx.Err(); err != nil && !t.ignoreContext {
		return failed(t.size, err)
	}
	n.send(t)
	return t.wait(ctx)
}

func (n *Node) send(t *trip) {
	if t.fault.Again > 0 {
		after(t.fault.Again, func() { n.server.arrive(func() { t.run() }) })
	}
	after(t.there, func() {
		if !t.fault.DropRequest && n.passes(t) {
			n.server.arrive(func() { n.serve(t) })
		}
	})
}

// serve executes a trip at the server and sends the replies back. The server also
// executes what it received before the connection broke.
func (n *Node) serve(t *trip) {
	replies := t.run()
	if t.fault.DropReply {
		if t.fault.Err == nil {
			return
		}
		replies = failed(t.size, t.fault.Err)
	}
	after(t.back, func() {
		if n.passes(t) {
			t.answer(replies)
		}
	})
}

// passes reports whether the link is up for this trip: not hung, and its connection
// not broken.
func (n *Node) passes(t *trip) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.hung && t.connection == n.connection
}

func (n *Node) breakConnection(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.connection++
	for t := range maps.Keys(n.underWay) {
		t.answer(failed(t.size, err))
	}
	clear(n.underWay)
}

func (t *trip) answer(replies []driver.Reply) {
	select {
	case t.answered <- replies:
	default:
	}
}

func (t *trip) wait(ctx context.Context) []driver.Reply {
	select {
	case replies := <-t.answered:
		return replies
	default:
	}
	ended := ctx.Done()
	if t.ignoreContext {
		ended = nil
	}
	limit := time.NewTimer(t.timeout)
	defer limit.Stop()
	select {
	case replies := <-t.answered:
		return replies
	case <-ended:
		return failed(t.size, ctx.Err())
	case <-limit.C:
		return failed(t.size, fmt.Errorf("redlocktest: read: %w", os.ErrDeadlineExceeded))
	}
}

func failed(size int, err error) []driver.Reply {
	replies := make([]driver.Reply, size)
	for i := range replies {
		replies[i].Err = err
	}
	return replies
}

// after runs f once d has passed, at once if d is not positive.
func after(d time.Duration, f func()) {
	if d <= 0 {
		f()
		return
	}
	time.AfterFunc(d, f)
}
