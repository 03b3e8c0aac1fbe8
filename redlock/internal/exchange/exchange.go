// Package exchange holds what the drivers share: how long a Do may last, what
// replies tell of a server and its connections, and a Cluster's dead shards.
package exchange

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// grace is for clients that heed the context's deadline themselves. They return a
// moment after it, with an error that says more than that the time is over.
const grace = 50 * time.Millisecond

// Within returns what do returns. If do has not returned shortly after ctx ends,
// Within returns what late returns and leaves do running.
func Within(ctx context.Context, do, late func() []driver.Reply) []driver.Reply {
	if ctx.Done() == nil {
		return do()
	}
	answered := make(chan []driver.Reply, 1)
	go func() { answered <- do() }()
	select {
	case replies := <-answered:
		return replies
	case <-ctx.Done():
	}
	last := time.NewTimer(grace)
	defer last.Stop()
	select {
	case replies := <-answered:
		return replies
	case <-last.C:
		return late()
	}
}

// Late is for Within when nothing of commands was answered in time.
func Late(ctx context.Context, commands []driver.Command) func() []driver.Reply {
	return func() []driver.Reply { return Fail(len(commands), ctx.Err()) }
}

// calm is how long after an answer a connection is trusted to keep to a deadline
// by itself. Clients such as rueidis send PING on a connection that was idle for a
// second. If that PING hangs, so does the command behind it.
const calm = 500 * time.Millisecond

// Watch is Within for one node. It does without a goroutine while the node answers,
// because handing a batch over costs as much as half a round trip to a server
// nearby. The zero value is ready to use.
type Watch struct{ answered atomic.Int64 }

// Do is Within, but calls do directly if inline is set and the last Do was answered
// lately.
func (w *Watch) Do(ctx context.Context, inline bool, do, late func() []driver.Reply) []driver.Reply {
	var replies []driver.Reply
	if inline && time.Now().UnixNano()-w.answered.Load() < int64(calm) {
		replies = do()
	} else {
		replies = Within(ctx, do, late)
	}
	if AllAnswered(replies) {
		w.answered.Store(time.Now().UnixNano())
	} else {
		w.answered.Store(0)
	}
	return replies
}

const (
	// SweepLimit is how long an idle connection has to answer a PING.
	SweepLimit = 500 * time.Millisecond
	// SettleLimit is the longest that Sweep waits.
	SettleLimit = 10 * time.Millisecond
)

// Sweep calls use for each connection that lies idle in a client's pool. use takes
// one, and tests or closes it. All are called at the same time, so that no two get
// the same one.
//
// When one connection went silent, or leads to a demoted server, the others do, too,
// and each would cost a batch. So Sweep returns once all have left the pool: the next
// Do gets a new one.
func Sweep(idle func() int, use func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), SweepLimit)
	var all sync.WaitGroup
	for range idle() {
		all.Go(func() { use(ctx) })
	}
	go func() {
		defer cancel()
		all.Wait()
	}()
	const pause = 200 * time.Microsecond
	for end := time.Now().Add(SettleLimit); idle() > 0 && time.Now().Before(end); {
		time.Sleep(pause)
	}
}

// Nodes makes one node of each client, in order. A client that newNode refuses
// becomes a nil node, which redlock.New refuses with its position.
func Nodes[C any, N driver.Node](clients []C, newNode func(C) (N, error)) []driver.Node {
	nodes := make([]driver.Node, len(clients))
	for i, client := range clients {
		if node, err := newNode(client); err == nil {
			nodes[i] = node
		}
	}
	return nodes
}

// IsNil also sees the nil pointer of a failed constructor, which is not a nil
// interface.
func IsNil(client any) bool {
	v := reflect.ValueOf(client)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// Unnamed names a client that tells no address. Of one that is no pointer it tells
// the type only: what is in it may be secret.
func Unnamed(kind string, client any) string {
	if reflect.ValueOf(client).Kind() == reflect.Pointer {
		return fmt.Sprintf("%s(%p)", kind, client)
	}
	return fmt.Sprintf("%s(%T)", kind, client)
}
