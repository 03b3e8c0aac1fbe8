package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// mutedNode refuses subscriptions, as a server does whose access rules name no channel.
type mutedNode struct {
	driver.Node
	muted atomic.Bool
	asked atomic.Int32
}

func (n *mutedNode) Subscribe(ctx context.Context, channel string, ready func(), deliver func(string)) error {
	n.asked.Add(1)
	if n.muted.Load() {
		return errors.New("NOPERM this user has no permissions to access one of the channels used as arguments")
	}
	return n.Node.(driver.Subscriber).Subscribe(ctx, channel, ready, deliver)
}

// While a node refuses subscriptions, waiters poll. The observer is told once, with the cure, and the node is not asked for each
// name at each poll.
//
// Seen to fail without the call of unheard, without the pause, and when failures are not forgotten once a subscription is active.
func TestLock_noticesUnheard(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		node := &mutedNode{Node: redlocktest.Nodes(fl.servers, "a")[0]}
		node.muted.Store(true)
		var d diary
		l := must[*redlock.Locker](t)(redlock.New([]driver.Node{node}, redlock.WithObserver(d.observe)))
		fl.lockers = append(fl.lockers, l)
		waitFor := func(d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			for _, name := range []string{"job", "other"} {
				held := must[*redlock.Lease](t)(must[*redlock.Mutex](t)(l.NewMutex(name)).TryLock(t.Context()))
				defer held.Unlock(t.Context())
				go func() { _, _ = must[*redlock.Mutex](t)(l.NewMutex(name)).Lock(ctx) }()
			}
			<-ctx.Done()
			time.Sleep(time.Second)
		}
		waitFor(time.Minute)
		wantKinds(t, d.kinds(""), redlock.NoticesUnheard)
		if i := slices.IndexFunc(d.events, func(e redlock.Event) bool { return e.Kind == redlock.NoticesUnheard }); !strings.Contains(fmt.Sprint(d.events[i].Err), "ACL SETUSER") {
			t.Errorf("told of node %q: %v", d.events[i].Node, d.events[i].Err)
		}
		if n := node.asked.Load(); n > 30 {
			t.Errorf("the node was asked for a subscription %d times in a minute", n)
		}
		node.muted.Store(false)
		waitFor(10 * time.Second)
		before := node.asked.Load()
		waitFor(10 * time.Second)
		if n := node.asked.Load() - before; n > 1 {
			t.Errorf("%d subscriptions in 10 s once the node allows them", n)
		}
		node.muted.Store(true)
		time.Sleep(10 * time.Second)
		waitFor(time.Minute)
		wantKinds(t, d.kinds(""), redlock.NoticesUnheard, redlock.NoticesUnheard)
	})
}
