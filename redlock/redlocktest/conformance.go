package redlocktest

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// patience bounds every wait of the suite, so that a driver that hangs fails.
const patience = 5 * time.Second

// TestNode checks that a driver satisfies the contract of [driver.Node], and of
// [driver.Subscriber] if it implements it. A failure says what to change.
//
// TestNode calls newNode at least once for each check. newNode returns a node on an
// empty server that nobody else uses. The checks run one after the other, so they
// may share a server that newNode flushes. Keys must expire in real time, as with
// Redis 7 or Valkey, but not with miniredis.
func TestNode(t *testing.T, newNode func(t testing.TB) driver.Node) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.run(t, subject{t, newNode(t)}) })
	}
	t.Run("SharedCommands", func(t *testing.T) {
		checkSharedCommands(t, subject{t, newNode(t)}, subject{t, newNode(t)})
	})
	t.Run("Subscriber", func(t *testing.T) { testSubscriber(t, newNode) })
}

var checks = []struct {
	name string
	run  func(t *testing.T, node subject)
}{
	{"String", checkString},
	{"Replies", checkReplies},
	{"Nulls", checkNulls},
	{"NoOtherTypes", checkTypes},
	{"ProtocolsAlike", checkProtocols},
	{"ErrorTexts", checkErrorTexts},
	{"ErrorsBetweenReplies", checkMixed},
	{"ScriptByHash", checkScriptByHash},
	{"BinaryStrings", checkBinary},
	{"EmptyBatch", checkEmptyBatch},
	{"Order", checkOrder},
	{"BigBatch", checkBigBatch},
	{"BigValue", checkBigValue},
	{"Expiry", checkExpiry},
	{"Deadline", checkDeadline},
	{"ContextOver", checkContextOver},
	{"ManyGoroutines", checkManyGoroutines},
}

// subject is the node under test.
type subject struct {
	t    testing.TB
	node driver.Node
}

// batch sends commands and requires one reply for each.
func (s subject) batch(commands ...driver.Command) []driver.Reply {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.send(ctx, commands)
}

func (s subject) send(ctx context.Context, commands []driver.Command) []driver.Reply {
	s.t.Helper()
	answered := make(chan []driver.Reply, 1)
	go func() { answered <- s.node.Do(ctx, commands) }()
	select {
	case replies := <-answered:
		if len(replies) != len(commands) {
			s.t.Fatalf("Do returned %d replies to %d commands; return one for each, in order, "+
				"even when it is an error or when the connection broke", len(replies), len(commands))
		}
		return replies
	case <-time.After(2 * patience):
		s.t.Fatalf("Do has not returned after %v, long after its context ended; "+
			"give the client a read timeout or pass it the context", 2*patience)
		return nil
	}
}

// one sends a single command.
func (s subject) one(elements ...string) driver.Reply {
	s.t.Helper()
	return s.batch(line(elements...))[0]
}

// want sends a command and checks its value.
func (s subject) want(value any, elements ...string) {
	s.t.Helper()
	s.check(s.one(elements...), value, elements)
}

func (s subject) check(reply driver.Reply, value any, elements []string) {
	s.t.Helper()
	if reply.Err != nil {
		s.t.Errorf("%s: error %v, want value %s", short(elements), reply.Err, typed(value))
		return
	}
	if !reflect.DeepEqual(reply.Value, value) {
		s.t.Errorf("%s: value %s, want %s; translate the client's reply types to those of driver.Reply",
			short(elements), typed(reply.Value), typed(value))
	}
}

func line(elements ...string) driver.Command {
	command := make(driver.Command, len(elements))
	for i, element := range elements {
		command[i] = element
	}
	return command
}

func short(elements []string) string { return fmt.Sprintf("%.100q", elements) }

func typed(value any) string { return fmt.Sprintf("%.200s (%T)", fmt.Sprintf("%#v", value), value) }

func checkString(t *testing.T, node subject) {
	named, ok := node.node.(fmt.Stringer)
	if !ok {
		t.Skip("the node has no String method: errors and events will name it by its position")
	}
	name := named.String()
	if name == "" || name != named.String() {
		t.Errorf("String returned %q, then %q; return the server's address, the same each time", name, named.String())
	}
	for _, c := range name {
		if c == '@' {
			t.Errorf("String returned %q; leave out user and password: it is printed in errors and logs", name)
		}
	}
}
