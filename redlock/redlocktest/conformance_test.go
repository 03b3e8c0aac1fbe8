package redlocktest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// badNode is a driver with one mistake.
type badNode struct {
	*redlocktest.Node
	before    func(ctx context.Context, commands []driver.Command) (context.Context, []driver.Command)
	after     func(replies []driver.Reply) []driver.Reply
	subscribe func(n *redlocktest.Node, ctx context.Context, channel string, ready func(), deliver func(string)) error
	name      string
}

func (b badNode) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	if b.before != nil {
		ctx, commands = b.before(ctx, commands)
	}
	replies := b.Node.Do(ctx, commands)
	if b.after != nil {
		replies = b.after(replies)
	}
	return replies
}

func (b badNode) Subscribe(ctx context.Context, channel string, ready func(), deliver func(string)) error {
	if b.subscribe != nil {
		return b.subscribe(b.Node, ctx, channel, ready, deliver)
	}
	return b.Node.Subscribe(ctx, channel, ready, deliver)
}

func (b badNode) String() string { return b.name }

// eachReply is a mistake made with every reply.
func eachReply(spoil func(r *driver.Reply)) func([]driver.Reply) []driver.Reply {
	return func(replies []driver.Reply) []driver.Reply {
		for i := range replies {
			spoil(&replies[i])
		}
		return replies
	}
}

// lastReplies makes the mistake of one reply buffer for all calls.
func lastReplies() func([]driver.Reply) []driver.Reply {
	var last atomic.Pointer[[]driver.Reply]
	return func(replies []driver.Reply) []driver.Reply {
		last.Store(&replies)
		time.Sleep(time.Millisecond)
		return *last.Load()
	}
}

// mistakes lists mistakes with the check that must notice each.
var mistakes = []struct {
	name, check string
	node        badNode
}{
	{"password in the name", "String", badNode{name: "redis://user:secret@host"}},
	{"no name", "String", badNode{}},
	{"null as an error", "Nulls", badNode{name: "x", after: eachReply(func(r *driver.Reply) {
		if r.Value == nil && r.Err == nil {
			r.Err = errors.New("redis: nil")
		}
	})}},
	{"null as an empty string", "Nulls", badNode{name: "x", after: eachReply(func(r *driver.Reply) {
		if r.Value == nil && r.Err == nil {
			r.Value = ""
		}
	})}},
	{"bytes", "Replies", badNode{name: "x", after: eachReply(func(r *driver.Reply) {
		if text, ok := r.Value.(string); ok {
			r.Value = []byte(text)
		}
	})}},
	{"numbers as text", "Replies", badNode{name: "x", after: eachReply(func(r *driver.Reply) {
		if n, ok := r.Value.(int64); ok {
			r.Value = fmt.Sprint(n)
		}
	})}},
	{"maps", "NoOtherTypes", badNode{name: "x", after: eachReply(func(r *driver.Reply) {
		if list, ok := r.Value.([]any); ok && len(list) == 2 && list[0] == "field" {
			r.Value = map[any]any{"field": list[1]}
		}
	})}},
	{"wrapped errors", "ErrorTexts", badNode{name: "x", after: eachReply(func(r *driver.Reply) {
		if r.Err != nil {
			r.Err = fmt.Errorf("driver: %w", r.Err)
		}
	})}},
	{"errors as values", "ErrorTexts", badNode{name: "x", after: eachReply(func(r *driver.Reply) {
		if r.Err != nil {
			r.Value, r.Err = r.Err.Error(), nil
		}
	})}},
	{"first error for all", "ErrorsBetweenReplies", badNode{name: "x", after: func(replies []driver.Reply) []driver.Reply {
		for _, r := range replies {
			if r.Err != nil {
				return slices.Repeat([]driver.Reply{r}, len(replies))
			}
		}
		return replies
	}}},
	{"stops at an error", "ErrorsBetweenReplies", badNode{name: "x", after: func(replies []driver.Reply) []driver.Reply {
		if i := slices.IndexFunc(replies, func(r driver.Reply) bool { return r.Err != nil }); i >= 0 {
			return replies[:i+1]
		}
		return replies
	}}},
	{"reversed", "Order", badNode{name: "x", after: func(replies []driver.Reply) []driver.Reply {
		slices.Reverse(replies)
		return replies
	}}},
	{"replies to another", "ManyGoroutines", badNode{name: "x", after: lastReplies()}},
	{"changes the commands", "SharedCommands", badNode{name: "x", before: func(ctx context.Context, commands []driver.Command) (context.Context, []driver.Command) {
		own := slices.Clone(commands)
		for i := range commands {
			own[i] = slices.Clone(commands[i])
			if len(commands) > 1 {
				commands[i][0] = strings.ToLower(commands[i][0].(string))
			}
		}
		return ctx, own
	}}},
	{"no replies when the context is over", "ContextOver", badNode{name: "x", after: func(replies []driver.Reply) []driver.Reply {
		if len(replies) > 0 && errors.Is(replies[0].Err, context.DeadlineExceeded) {
			return nil
		}
		return replies
	}}},
	{"ready too early", "Subscriber/ReadyThenDeliver", badNode{name: "x",
		subscribe: func(n *redlocktest.Node, ctx context.Context, channel string, ready func(), deliver func(string)) error {
			ready()
			time.Sleep(50 * time.Millisecond)
			return n.Subscribe(ctx, channel, func() {}, deliver)
		}}},
	{"ready twice", "Subscriber/ReadyThenDeliver", badNode{name: "x",
		subscribe: func(n *redlocktest.Node, ctx context.Context, channel string, ready func(), deliver func(string)) error {
			return n.Subscribe(ctx, channel, func() { ready(); ready() }, deliver)
		}}},
	{"never says why", "Subscriber/ContextEndsIt", badNode{name: "x",
		subscribe: func(n *redlocktest.Node, ctx context.Context, channel string, ready func(), deliver func(string)) error {
			n.Subscribe(ctx, channel, ready, deliver)
			return nil
		}}},
	{"one channel for all", "Subscriber/TwoChannels", badNode{name: "x",
		subscribe: func(n *redlocktest.Node, ctx context.Context, _ string, ready func(), deliver func(string)) error {
			return n.Subscribe(ctx, "b", ready, deliver)
		}}},
	{"subscribes again by itself", "Subscriber/ConnectionLost", badNode{name: "x",
		subscribe: func(n *redlocktest.Node, ctx context.Context, channel string, ready func(), deliver func(string)) error {
			for ctx.Err() == nil {
				_ = n.Subscribe(ctx, channel, ready, deliver)
			}
			return ctx.Err()
		}}},
	{"connection lost without a reason", "Subscriber/ConnectionLost", badNode{name: "x",
		subscribe: func(n *redlocktest.Node, ctx context.Context, channel string, ready func(), deliver func(string)) error {
			if err := n.Subscribe(ctx, channel, ready, deliver); ctx.Err() != nil {
				return err
			}
			return nil
		}}},
	{"leaves the subscription", "Subscriber/ContextEndsIt", badNode{name: "x",
		subscribe: func(n *redlocktest.Node, ctx context.Context, channel string, ready func(), deliver func(string)) error {
			go n.Subscribe(context.Background(), channel, ready, deliver)
			<-ctx.Done()
			return ctx.Err()
		}}},
}

const mistakeVariable = "REDTICK_TEST_MISTAKE"

// TestNode_notices_mistakes runs the suite in another process, because its failure
// would fail this test as well.
func TestNode_notices_mistakes(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the suite is not run on drivers with mistakes")
	}
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			suite := exec.Command(os.Args[0], "-test.v", "-test.run=^TestNode_with_a_mistake$/^"+strings.ReplaceAll(m.check, "/", "$/^")+"$")
			suite.Env = append(os.Environ(), mistakeVariable+"="+m.name)
			out, err := suite.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestNode_with_a_mistake/"+m.check) {
				t.Errorf("check %s did not notice it: %v\n%s", m.check, err, out)
			}
		})
	}
}

func TestNode_with_a_mistake(t *testing.T) {
	for _, m := range mistakes {
		if os.Getenv(mistakeVariable) == m.name {
			redlocktest.TestNode(t, func(testing.TB) driver.Node {
				node := m.node
				node.Node = redlocktest.NewServer().Node("memory")
				return node
			})
		}
	}
}
