//go:build unix

// Package drivertest checks on real servers what redlocktest.TestNode cannot: that a
// driver stops using a server or a connection once it is no longer the right one.
package drivertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

const (
	// nodeTimeout is the core's default timeout of a batch.
	nodeTimeout = 500 * time.Millisecond
	// late is how long after its deadline a Do may return on a busy machine.
	late = 300 * time.Millisecond
	// back is how long after its servers a driver may recover. The goal is a second, which test/compat measures; a busy machine
	// takes longer.
	back = 2 * time.Second
)

// TestFailover checks a driver for one server. connect returns a node with a client
// that has default options.
func TestFailover(t *testing.T, connect func(t testing.TB, addr string) driver.Node) {
	for _, idle := range []int{1, 4} {
		t.Run(fmt.Sprintf("MovedEndpoint/%d connections", idle), func(t *testing.T) { checkMoved(t, connect, idle) })
		t.Run(fmt.Sprintf("SilentConnections/%d connections", idle), func(t *testing.T) { checkSilent(t, connect, idle) })
	}
	t.Run("Demoted", func(t *testing.T) { checkDemoted(t, connect) })
	t.Run("ServerGone", func(t *testing.T) { checkGone(t, connect) })
	t.Run("ServerBusy", func(t *testing.T) { checkBusy(t, connect) })
	t.Run("Deadline", func(t *testing.T) { checkDeadline(t, connect) })
	t.Run("DeadlineWhileWriting", func(t *testing.T) { checkWriting(t, connect) })
	t.Run("DeadlineWhileDialling", func(t *testing.T) { checkDialling(t, connect) })
}

// batches that a driver may treat differently: a client may look at the first
// reply only.
var batches = map[string][]driver.Command{
	"a write":              {{"SET", "k", "v", "PX", "60000"}},
	"a write after a read": {{"GET", "k"}, {"SET", "k", "v", "PX", "60000"}},
	"a script":             {{"EVAL", "return redis.call('SET', KEYS[1], 'v', 'PX', 60000)", "1", "k"}},
}

// checkMoved demotes a primary without closing its connections, and moves its name
// to the replica.
func checkMoved(t *testing.T, connect func(t testing.TB, addr string) driver.Node, idle int) {
	for name, batch := range batches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := redisserver.Start(t, "--repl-diskless-sync-delay", "0")
			promoted := redisserver.Start(t, "--replicaof", "127.0.0.1", strconv.Itoa(old.Port()))
			endpoint := redisserver.Forward(t, old.Addr())
			node := connect(t, endpoint.Addr())
			fill(t, node, idle)
			command(t, promoted, "REPLICAOF", "NO", "ONE")
			command(t, old, "REPLICAOF", "127.0.0.1", strconv.Itoa(promoted.Port()))
			command(t, promoted, "SET", "here", "1")
			endpoint.Move(promoted.Addr())

			failures, took := untilWell(t, node, batch)
			// The first batch has to find out. A second one is lost when the
			// old server is loading, say.
			if len(failures) > 2 || took > back {
				t.Errorf("%d failures in %v: %v", len(failures), took, failures)
			}
			for _, err := range failures {
				if !exchange.Demoted(driver.Reply{Err: err}) {
					t.Errorf("the server's answer arrived as %q", err)
				}
			}
			if got := node.Do(t.Context(), []driver.Command{{"EXISTS", "here"}})[0]; got.Value != int64(1) {
				t.Errorf("still on the old server: %v, %v", got.Value, got.Err)
			}
		})
	}
}

// checkSilent makes black holes of the existing connections.
func checkSilent(t *testing.T, connect func(t testing.TB, addr string) driver.Node, idle int) {
	for name, batch := range batches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := redisserver.Forward(t, redisserver.Start(t).Addr())
			node := connect(t, endpoint.Addr())
			fill(t, node, idle)
			for _, b := range batches { // a client may have separate connections for single commands and for pipelines
				node.Do(t.Context(), b)
			}
			endpoint.Silence()
			if idle > 1 {
				time.Sleep(1500 * time.Millisecond) // the client's own PING, if any, is under way
			}
			failures, took := untilWell(t, node, batch)
			if len(failures) > 1 || took > nodeTimeout+late {
				t.Errorf("%d failures in %v: %v", len(failures), took, failures)
			}
			t.Logf("well after %v", took)
			for _, b := range batches {
				if failures, _ := untilWell(t, node, b); len(failures) > 0 {
					t.Errorf("a dead connection was left: %v", failures)
				}
			}
		})
	}
}

// untilWell repeats a batch as the core does, each time with a deadline, until it
// succeeds. It returns the earlier failures.
func untilWell(t *testing.T, node driver.Node, batch []driver.Command) (failures []error, took time.Duration) {
	t.Helper()
	start := time.Now()
	for time.Since(start) < 10*time.Second {
		err := firstError(send(t, node, batch))
		if err == nil {
			return failures, time.Since(start)
		}
		failures = append(failures, err)
		time.Sleep(10 * time.Millisecond)
	}
	return failures, time.Since(start)
}

// send sends a batch, and fails the test if Do misses its deadline.
func send(t *testing.T, node driver.Node, batch []driver.Command) []driver.Reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), nodeTimeout)
	defer cancel()
	start := time.Now()
	replies := node.Do(ctx, batch)
	if took := time.Since(start); took > nodeTimeout+late {
		t.Errorf("Do returned after %v, its context ended after %v", took, nodeTimeout)
	}
	if len(replies) != len(batch) {
		t.Fatalf("%d replies to %d commands", len(replies), len(batch))
	}
	return replies
}

func firstError(replies []driver.Reply) error {
	for _, r := range replies {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

// checkDemoted answers like servers that refuse writes, including old versions, and
// wants the driver to open a new connection.
func checkDemoted(t *testing.T, connect func(t testing.TB, addr string) driver.Node) {
	node := connect(t, redisserver.Start(t).Addr())
	id := func() any {
		t.Helper()
		return one(t, node, driver.Command{"CLIENT", "ID"}).Value
	}
	for _, c := range []struct {
		text    string
		another bool
	}{
		{"READONLY You can't write against a read only replica.", true},
		{"ERR Error running script (call to f_5b): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.", true},
		{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true},
		{"LOADING Redis is loading the dataset in memory", true},
		{"MOVED 12706 127.0.0.1:7001", true},
		{"WRONGTYPE Operation against a key holding the wrong kind of value", false},
		{"BUSY Redis is busy running a script.", false},
	} {
		for _, lead := range [][]driver.Command{nil, {{"PING"}}} {
			before := id()
			said := driver.Command{"EVAL", "return redis.error_reply(ARGV[1])", "0", c.text}
			replies := send(t, node, append(lead, said))
			if got := replies[len(lead)].Err; got == nil || got.Error() != c.text {
				t.Errorf("%s: arrived as %v", c.text, got)
			}
			if after := id(); (after != before) != c.another {
				t.Errorf("%s, after %d other replies: connection %v, then %v; another wanted: %v", c.text, len(lead), before, after, c.another)
			}
		}
	}
}

// checkGone kills the server, and starts it again.
func checkGone(t *testing.T, connect func(t testing.TB, addr string) driver.Node) {
	server := redisserver.Start(t)
	node := connect(t, server.Addr())
	one(t, node, driver.Command{"PING"})
	server.Kill()
	for _, batch := range [][]driver.Command{{{"PING"}}, {{"PING"}, {"GET", "k"}}} {
		for _, r := range send(t, node, batch) {
			if r.Err == nil {
				t.Errorf("got %v from a dead server", r.Value)
			}
		}
	}
	server.Restart()
	if failures, took := untilWell(t, node, []driver.Command{{"PING"}}); len(failures) > 1 {
		t.Errorf("well %v after the restart: %v", took, failures)
	}
}

// checkBusy makes the client connect while the server runs a script.
func checkBusy(t *testing.T, connect func(t testing.TB, addr string) driver.Node) {
	server := redisserver.Start(t, "--lua-time-limit", "10")
	node := connect(t, server.Addr())
	one(t, node, driver.Command{"PING"})
	command(t, server, "CLIENT", "KILL", "TYPE", "normal")
	go func() { _, _ = server.Do("EVAL", "while true do end", "0") }()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := server.Do("PING"); driver.ErrorCode(err) == "BUSY" {
			break
		}
	}
	for range 2 {
		for _, batch := range batches {
			for _, r := range send(t, node, batch) {
				if r.Err == nil {
					t.Errorf("%v: got %v from a server that is busy", batch, r.Value)
				}
			}
		}
	}
	command(t, server, "SCRIPT", "KILL")
	if failures, took := untilWell(t, node, batches["a write"]); len(failures) > 1 {
		t.Errorf("well after %v: %v", took, failures)
	}
}

// checkDeadline pauses the server while a connection is in use.
func checkDeadline(t *testing.T, connect func(t testing.TB, addr string) driver.Node) {
	server := redisserver.Start(t)
	node := connect(t, server.Addr())
	one(t, node, driver.Command{"PING"})
	server.Pause()
	for _, batch := range [][]driver.Command{{{"ECHO", "late"}}, {{"ECHO", "late"}, {"ECHO", "later"}}} {
		for _, r := range send(t, node, batch) {
			if r.Err == nil {
				t.Errorf("got %v from a server that hangs", r.Value)
			}
		}
	}
	server.Resume()
	// Batches after one that timed out must not read its late replies.
	for range 3 {
		if got := one(t, node, driver.Command{"ECHO", "own"}); got.Value != "own" {
			t.Errorf("afterwards: %v, %v", got.Value, got.Err)
		}
	}
}

// checkWriting sends a hung server more than its connection buffers, right after an
// answer, when a driver may skip its own watch over a Do.
func checkWriting(t *testing.T, connect func(t testing.TB, addr string) driver.Node) {
	server := redisserver.Start(t)
	node := connect(t, server.Addr())
	batch := []driver.Command{{"SET", "k", strings.Repeat("v", 64<<10)}}
	for len(batch) < 512 {
		batch = append(batch, batch[0])
	}
	for range 3 {
		one(t, node, driver.Command{"PING"})
	}
	server.Pause()
	kept := time.AfterFunc(5*time.Second, server.Resume)
	send(t, node, batch)
	if kept.Stop() {
		server.Resume()
	}
}

// checkDialling uses a server that accepts connections but does not answer.
func checkDialling(t *testing.T, connect func(t testing.TB, addr string) driver.Node) {
	server := redisserver.Start(t)
	endpoint := redisserver.Forward(t, server.Addr())
	node := connect(t, endpoint.Addr())
	one(t, node, driver.Command{"PING"})
	server.Pause()
	endpoint.Silence()
	for range 3 {
		if r := send(t, node, []driver.Command{{"INCR", "n"}})[0]; r.Err == nil {
			t.Errorf("got %v from a server that hangs", r.Value)
		}
	}
	server.Resume()
	if failures, took := untilWell(t, node, []driver.Command{{"PING"}}); took > back {
		t.Errorf("well after %v: %v", took, failures)
	}
}

// TestSlowClient uses a client with user callbacks that run before it uses a
// connection. They take no deadline, and must not delay a Do.
func TestSlowClient(t *testing.T, connect func(t testing.TB, addr string, wait func()) driver.Node) {
	var gate sync.RWMutex
	node := connect(t, redisserver.Start(t).Addr(), func() {
		gate.RLock()
		defer gate.RUnlock()
	})
	for range 3 { // after an answer, a driver may skip its own watch over a Do
		one(t, node, driver.Command{"PING"})
	}
	gate.Lock()
	open := sync.OnceFunc(gate.Unlock)
	defer open()
	kept := time.AfterFunc(10*time.Second, open)
	var busy sync.WaitGroup
	for i := range 3 {
		busy.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), nodeTimeout)
			defer cancel()
			node.Do(ctx, []driver.Command{{"BLPOP", "none" + strconv.Itoa(i), "0.1"}})
		})
	}
	busy.Wait()
	if !kept.Stop() {
		t.Error("a Do waited for the client's functions, far beyond its deadline")
	}
}

// Conn returns a user's connection, such as a tunnel. While fail returns an error,
// reads and writes fail with it.
func Conn(conn net.Conn, fail func() error) net.Conn { return tunnel{conn, fail} }

type tunnel struct {
	net.Conn
	fail func() error
}

func (c tunnel) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, cmp.Or(c.fail(), err)
}

func (c tunnel) Write(p []byte) (int, error) {
	if err := c.fail(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// TestOwnErrors uses a client that connects with a user callback. The callback's
// errors must not pass for a server's, whatever they look like.
func TestOwnErrors(t *testing.T, connect func(t testing.TB, addr string, fail func() error) driver.Node) {
	server := redisserver.Start(t)
	var failing atomic.Bool
	node := connect(t, server.Addr(), func() error {
		if failing.Load() {
			return errors.New("DIAL failed")
		}
		return nil
	})
	one(t, node, driver.Command{"PING"})
	failing.Store(true)
	command(t, server, "CLIENT", "KILL", "TYPE", "normal")
	said := ""
	for range 2 {
		for _, batch := range batches {
			for _, r := range send(t, node, batch) {
				if r.Err == nil || driver.ErrorCode(r.Err) != "" {
					t.Errorf("%v: %v, %v", batch, r.Value, r.Err)
				}
				said = fmt.Sprint(r.Err)
			}
		}
	}
	if !strings.Contains(said, "DIAL failed") {
		t.Errorf("the reason is lost: %s", said)
	}
}

// fill opens connections by using them at the same time.
func fill(t *testing.T, node driver.Node, connections int) {
	t.Helper()
	var busy sync.WaitGroup
	for i := range connections {
		busy.Go(func() {
			wait := driver.Command{"BLPOP", "none" + strconv.Itoa(i), "0.1"}
			if err := firstError(node.Do(t.Context(), []driver.Command{wait})); err != nil {
				t.Errorf("BLPOP: %v", err)
			}
		})
	}
	busy.Wait()
	if err := firstError(node.Do(t.Context(), batches["a write after a read"])); err != nil {
		t.Fatal(err)
	}
}

func one(t *testing.T, node driver.Node, c driver.Command) driver.Reply {
	t.Helper()
	r := send(t, node, []driver.Command{c})[0]
	if r.Err != nil {
		t.Errorf("%v: %v", c, r.Err)
	}
	return r
}

func command(t *testing.T, server *redisserver.Server, args ...string) {
	t.Helper()
	if _, err := server.Do(args...); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
}
