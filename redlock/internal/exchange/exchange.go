// Package exchange holds what the drivers share: how long a Do may last, and
// which answers say that the connection leads to the wrong server.
package exchange

import (
	"context"
	"strings"
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
	for i := range replies {
		if !Answered(replies[i].Err) {
			w.answered.Store(0)
			return replies
		}
	}
	w.answered.Store(time.Now().UnixNano())
	return replies
}

// Fail returns n replies that failed with err.
func Fail(n int, err error) []driver.Reply {
	replies := make([]driver.Reply, n)
	for i := range replies {
		replies[i].Err = err
	}
	return replies
}

// Demoted reports whether err is a server's answer that it is not a primary, or has
// not got its data. When a name has moved to another server, all connections that
// stand lead to the former one, and only a new connection leads to the other.
func Demoted(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	for _, code := range []string{"READONLY ", "MASTERDOWN ", "LOADING "} {
		// Before Redis 7 a script's error is wrapped: "ERR Error running script (…): @user_script: 1: -READONLY …".
		if strings.HasPrefix(text, code) || strings.HasPrefix(text, "ERR ") && strings.Contains(text, ": -"+code) {
			return true
		}
	}
	return false
}

// AnyDemoted reports whether any of replies is Demoted.
func AnyDemoted(replies []driver.Reply) bool {
	for i := range replies {
		if Demoted(replies[i].Err) {
			return true
		}
	}
	return false
}

// SettleLimit is the longest that Settle waits.
const SettleLimit = 10 * time.Millisecond

// Settle waits a moment for done, which reports whether the connections under
// test have left their pool. Without it the next Do could still be handed one.
func Settle(done func() bool) {
	const pause = 200 * time.Microsecond
	for end := time.Now().Add(SettleLimit); !done() && time.Now().Before(end); {
		time.Sleep(pause)
	}
}
