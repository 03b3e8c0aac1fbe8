// Package exchange holds what the drivers share: keeping a Do to its deadline,
// detecting dead connections and demoted servers, and skipping a Cluster's dead
// shards.
package exchange

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// grace is how long Within waits after the deadline. A client that respects the
// deadline returns shortly after it, with a more specific error.
const grace = 50 * time.Millisecond

// Within calls do in a goroutine and returns its result. If do has not returned
// shortly after ctx ends, Within returns the result of late and leaves do running.
func Within[T any](ctx context.Context, do, late func() T) T {
	if ctx.Done() == nil {
		return do()
	}
	done := make(chan T, 1)
	go func() { done <- do() }()
	select {
	case result := <-done:
		return result
	case <-ctx.Done():
	}
	select {
	case result := <-done:
		return result
	case <-time.After(grace):
		return late()
	}
}

// Watch is Within for one node. While the node answers, it uses no goroutine:
// handing a batch over costs as much as half a round trip to a nearby server. The
// zero value is ready to use.
type Watch struct {
	turn      sync.RWMutex // exclusive for a Do without a goroutine, shared by the others
	answered  atomic.Int64 // Unix ns when the last Do was fully answered; 0 if it was not
	abandoned atomic.Int64 // Dos that timed out and still run
	tried     atomic.Int64 // Unix ns when a goroutine was last started
}

const (
	// trustFor is how long after an answer a Do may run without a goroutine. rueidis
	// and others send PING on a connection that was idle for a second. If the PING
	// hangs, so does the command behind it.
	trustFor = 500 * time.Millisecond
	// maxDirect is how many commands may be sent without a goroutine. Writing more
	// may block while the server does not read, and redigo's pools do not limit that
	// by default.
	maxDirect = 8
	// maxAbandoned is how many Dos may be left running. Each holds a connection.
	maxAbandoned = 8
	// retryAbandoned is the pause after which another Do is started nevertheless: the
	// abandoned ones may hold dead connections while a new one would work.
	retryAbandoned = time.Minute
)

var errAbandoned = errors.New("the client has not returned from 8 earlier calls; set its time limits for dialling, reading and writing. It is asked again once a minute")

// Do is like Within, but calls do directly if a connection is idle, there are few
// commands and the last Do was answered recently. Meanwhile no other Do may take
// the idle connection: the client would have to dial, which may take any time.
func (w *Watch) Do(ctx context.Context, commands []driver.Command, idle bool, do func() []driver.Reply) []driver.Reply {
	now := time.Now().UnixNano()
	fail := func(err error) []driver.Reply { return Fail(len(commands), err) }
	var replies []driver.Reply
	switch {
	case idle && len(commands) <= maxDirect && now-w.answered.Load() < int64(trustFor) && w.turn.TryLock():
		defer w.turn.Unlock()
		replies = do()
	case w.abandoned.Load() >= maxAbandoned && now-w.tried.Load() < int64(retryAbandoned):
		replies = fail(errAbandoned)
	default:
		w.tried.Store(now)
		ended := make(chan struct{})
		replies = Within(ctx, func() []driver.Reply {
			defer close(ended)
			w.turn.RLock()
			defer w.turn.RUnlock()
			return do()
		}, func() []driver.Reply {
			w.abandoned.Add(1)
			go func() {
				<-ended
				w.abandoned.Add(-1)
			}()
			return fail(ctx.Err())
		})
	}
	if AllAnswered(replies) {
		w.answered.Store(time.Now().UnixNano())
	} else {
		w.answered.Store(0)
	}
	return replies
}

const (
	// sweepLimit is how long an idle connection has to answer a PING.
	sweepLimit = 500 * time.Millisecond
	// settleLimit is how long Sweep waits at most.
	settleLimit = 10 * time.Millisecond
)

var (
	// ping tests an idle connection.
	ping = []driver.Command{{"PING"}}
	// quit closes a connection. The PING fails on it, so that the client drops it at
	// once.
	quit = []driver.Command{{"QUIT"}, {"PING"}}
)

// IdleCommands returns the commands to send on a client's idle connections after
// replies: QUIT and PING if the server was demoted, PING if a reply is missing,
// otherwise nil.
func IdleCommands(replies ...driver.Reply) []driver.Command {
	switch {
	case Demoted(replies...):
		return quit
	case !AllAnswered(replies):
		return ping
	}
	return nil
}

// Sweep calls use once for each idle connection in a client's pool. use takes one
// from the pool and tests or closes it. The calls are concurrent, so that no two
// get the same connection.
//
// When one connection is silent or leads to a demoted server, so do the others,
// and each would fail a batch. Sweep returns when no connection is idle, or after
// settleLimit, so that the next Do gets a new one.
func Sweep(idle func() int, use func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), sweepLimit)
	var all sync.WaitGroup
	for range idle() {
		all.Go(func() { use(ctx) })
	}
	go func() {
		defer cancel()
		all.Wait()
	}()
	for end := time.Now().Add(settleLimit); idle() > 0 && time.Now().Before(end); {
		time.Sleep(200 * time.Microsecond)
	}
}

// Nodes returns one node for each client, in order. A client that newNode rejects
// becomes a nil node, which redlock.New rejects with its position.
func Nodes[C any, N driver.Node](clients []C, newNode func(C) (N, error)) []driver.Node {
	nodes := make([]driver.Node, len(clients))
	for i, client := range clients {
		if node, err := newNode(client); err == nil {
			nodes[i] = node
		}
	}
	return nodes
}

// IsNil reports whether client is nil or a nil pointer in an interface, as failed
// constructors return it.
func IsNil(client any) bool {
	v := reflect.ValueOf(client)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// Unnamed returns a name for a client that does not expose its address: its own
// address in memory, or only its type if it is not a pointer, because its value
// may contain secrets.
func Unnamed(kind string, client any) string {
	if reflect.ValueOf(client).Kind() == reflect.Pointer {
		return fmt.Sprintf("%s(%p)", kind, client)
	}
	return fmt.Sprintf("%s(%T)", kind, client)
}
