package redlocktest

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

func testSubscriber(t *testing.T, newNode func(t testing.TB) driver.Node) {
	if _, ok := newNode(t).(driver.Subscriber); !ok {
		t.Skip("the node is not a driver.Subscriber: a waiting Lock learns of a release by polling")
	}
	for _, c := range subscriberChecks {
		t.Run(c.name, func(t *testing.T) { c.run(t, subject{t, newNode(t)}) })
	}
}

var subscriberChecks = []struct {
	name string
	run  func(t *testing.T, node subject)
}{
	{"ReadyThenDeliver", checkDeliver},
	{"ContextEndsIt", checkSubscribeEnd},
	{"ContextOver", checkSubscribeOver},
	{"TwoChannels", checkTwoChannels},
	{"ConnectionLost", checkConnectionLost},
}

// listening is a running Subscribe.
type listening struct {
	node     subject
	readies  atomic.Int32
	messages chan string
	ended    chan error
	stop     context.CancelFunc
}

// listen subscribes and waits until the subscription is active.
func (s subject) listen(channel string) *listening {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s.t.Cleanup(stop)
	l := &listening{node: s, messages: make(chan string, 1000), ended: make(chan error, 1), stop: stop}
	ready := make(chan struct{}, 1000)
	go func() {
		l.ended <- s.node.(driver.Subscriber).Subscribe(ctx, channel,
			func() { l.readies.Add(1); ready <- struct{}{} },
			func(message string) { l.messages <- message })
	}()
	select {
	case <-ready:
	case err := <-l.ended:
		s.t.Fatalf("Subscribe returned %v before it called ready", err)
	case <-time.After(patience):
		s.t.Fatalf("Subscribe has not called ready after %v; call it once the server has confirmed", patience)
	}
	return l
}

func (l *listening) want(messages ...string) {
	l.node.t.Helper()
	for i, want := range messages {
		select {
		case got := <-l.messages:
			if got != want {
				l.node.t.Fatalf("message %d is %q, want %q; deliver the payload alone, of this channel only, in order", i, got, want)
			}
		case err := <-l.ended:
			l.node.t.Fatalf("Subscribe returned %v while its context and its connection were fine", err)
		case <-time.After(patience):
			l.node.t.Fatalf("message %d, published after ready was called, was not delivered; "+
				"call ready only when the server has confirmed, and lose nothing from then on", i)
		}
	}
}

// end ends the context and waits for Subscribe.
func (l *listening) end() {
	l.node.t.Helper()
	l.stop()
	select {
	case err := <-l.ended:
		if err == nil {
			l.node.t.Error("Subscribe returned nil when its context ended; return the reason")
		}
	case <-time.After(patience):
		l.node.t.Fatalf("Subscribe has not returned %v after its context ended; close the connection then", patience)
	}
	if n := l.readies.Load(); n != 1 {
		l.node.t.Errorf("Subscribe called ready %d times; call it once: when the connection is lost, return the error instead of reconnecting", n)
	}
}

func checkDeliver(t *testing.T, node subject) {
	l := node.listen("channel")
	// The subscription must not occupy the connection of the commands.
	node.want(int64(1), "PUBLISH", "channel", "first")
	var commands []driver.Command
	messages := []string{"first", "", "\r\n\x00\xff"}
	for i := range 50 {
		messages = append(messages, strconv.Itoa(i))
	}
	for _, message := range messages[1:] {
		commands = append(commands, line("PUBLISH", "channel", message))
	}
	node.batch(commands...)
	node.one("EVAL", "return redis.call('PUBLISH', ARGV[1], ARGV[2])", "0", "channel", "from a script")
	l.want(append(slices.Clip(messages), "from a script")...)
	l.end()
}

func checkSubscribeEnd(t *testing.T, node subject) {
	l := node.listen("channel")
	l.end()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if node.one("PUBLISH", "channel", "late").Value == int64(0) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the server still counts a subscriber %v after Subscribe returned; close the connection", patience)
		}
	}
	if len(l.messages) != 0 {
		t.Errorf("%d messages were delivered after Subscribe had returned", len(l.messages))
	}
}

func checkSubscribeOver(t *testing.T, node subject) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- node.node.(driver.Subscriber).Subscribe(ctx, "channel", func() {}, func(string) {})
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("Subscribe returned nil with a context that is over; return its error")
		}
	case <-time.After(patience):
		t.Fatalf("Subscribe with a context that is over has not returned after %v", patience)
	}
}

// checkConnectionLost checks that Subscribe returns when its connection is lost. A
// client that reconnects silently misses messages, and the caller must know that.
func checkConnectionLost(t *testing.T, node subject) {
	l := node.listen("channel")
	if reply := node.one("CLIENT", "KILL", "TYPE", "pubsub"); reply.Err != nil {
		t.Skipf("the server cannot end a subscriber's connection: CLIENT KILL TYPE pubsub: %v", reply.Err)
	}
	select {
	case err := <-l.ended:
		if err == nil {
			t.Error("Subscribe returned nil when its connection was lost; return the reason")
		}
	case <-time.After(patience):
		t.Fatalf("Subscribe has not returned %v after its connection was lost; return the reason, and do not resubscribe", patience)
	}
	if n := l.readies.Load(); n != 1 {
		t.Errorf("Subscribe called ready %d times; call it once, and do not resubscribe: only the caller can allow for missed messages", n)
	}
	again := node.listen("channel")
	node.want(int64(1), "PUBLISH", "channel", "afterwards")
	again.want("afterwards")
	again.end()
}

func checkTwoChannels(t *testing.T, node subject) {
	a, b := node.listen("a"), node.listen("b")
	node.batch(line("PUBLISH", "a", "for a"), line("PUBLISH", "b", "for b"), line("PUBLISH", "a", "again a"))
	a.want("for a", "again a")
	a.end()
	node.want(int64(1), "PUBLISH", "b", "again b")
	b.want("for b", "again b")
	b.end()
}
