// Package exchange holds what the drivers share: how long a Do may last, what
// replies tell of a server and its connections, and a Cluster's dead shards.
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

// grace is for clients that heed the context's deadline themselves. They return a
// moment after it, with an error that says more than that the time is over.
const grace = 50 * time.Millisecond

// Within returns what do returns. If do has not returned shortly after ctx ends,
// Within returns what late returns and leaves do running.
func Within(ctx context.Context, do, late func() []driver.Reply) []driver.Reply {
	return new(Watch).within(ctx, do, late)
}

// Watch is Within for one node. It does without a goroutine while the node answers,
// because handing a batch over costs as much as half a round trip to a server
// nearby. The zero value is ready to use.
type Watch struct {
	turn     sync.RWMutex // a Do that is trusted has it alone, the others share it
	answered atomic.Int64 // when all of a Do was answered, if the last was
	left     atomic.Int64 // Dos that were given up and still run
	tried    atomic.Int64 // when the last one was handed over
}

const (
	// calm is how long after an answer a connection is trusted to keep to a deadline
	// by itself. Clients such as rueidis send PING on a connection that was idle for a
	// second. If that PING hangs, so does the command behind it.
	calm = 500 * time.Millisecond
	// light is how many commands a connection takes that nobody reads from. To write
	// more may hang, and redigo's pools have no limit for that by default.
	light = 8
	// leftMost is how many Dos may be left running. Each holds a connection.
	leftMost = 8
	// leftPause is after how long another one is started nevertheless: they may wait on
	// connections that are dead, and a new one may not be.
	leftPause = time.Minute
)

var errLeft = errors.New("the client has not returned from 8 earlier calls; set its time limits for dialling, reading and writing. It is asked again once a minute")

// Do is Within, but calls do directly if a connection lies idle, commands are few and
// the last Do was answered lately. A client that has to dial may take any time, so
// no other Do may take the idle connection first.
func (w *Watch) Do(ctx context.Context, commands []driver.Command, idle bool, do func() []driver.Reply) []driver.Reply {
	now := time.Now().UnixNano()
	fail := func(err error) []driver.Reply { return Fail(len(commands), err) }
	var replies []driver.Reply
	switch {
	case idle && len(commands) <= light && now-w.answered.Load() < int64(calm) && w.turn.TryLock():
		defer w.turn.Unlock()
		replies = do()
	case w.left.Load() >= leftMost && now-w.tried.Load() < int64(leftPause):
		replies = fail(errLeft)
	default:
		w.tried.Store(now)
		share := func() []driver.Reply {
			w.turn.RLock()
			defer w.turn.RUnlock()
			return do()
		}
		replies = w.within(ctx, share, func() []driver.Reply { return fail(ctx.Err()) })
	}
	if AllAnswered(replies) {
		w.answered.Store(time.Now().UnixNano())
	} else {
		w.answered.Store(0)
	}
	return replies
}

func (w *Watch) within(ctx context.Context, do, late func() []driver.Reply) []driver.Reply {
	if ctx.Done() == nil {
		return do()
	}
	answered, givenUp := make(chan []driver.Reply), make(chan struct{})
	go func() {
		replies := do()
		select {
		case answered <- replies:
		case <-givenUp:
			w.left.Add(-1)
		}
	}()
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
		w.left.Add(1)
		close(givenUp)
		return late()
	}
}

const (
	// SweepLimit is how long an idle connection has to answer a PING.
	SweepLimit = 500 * time.Millisecond
	// SettleLimit is the longest that Sweep waits.
	SettleLimit = 10 * time.Millisecond
)

var (
	// Ping tests an idle connection.
	Ping = []driver.Command{{"PING"}}
	// quit leaves a server. The PING meets a closed connection, so that the client
	// drops it at once.
	quit = []driver.Command{{"QUIT"}, {"PING"}}
)

// IdleCommands returns what to send on a client's idle connections after replies:
// a QUIT if the server has to be left, a PING if a connection went silent, else
// nothing.
func IdleCommands(replies ...driver.Reply) []driver.Command {
	switch {
	case Demoted(replies...):
		return quit
	case !AllAnswered(replies):
		return Ping
	}
	return nil
}

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
