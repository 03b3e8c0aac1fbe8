//go:build unix

package redisserver_test

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// ask sends one inline command on an open connection.
func ask(conn net.Conn, command string) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestForwarder_Move(t *testing.T) {
	one, two := redisserver.Start(t), redisserver.Start(t)
	do(t, one, "SET", "n", "1")
	f := redisserver.Forward(t, one.Addr())
	old := dial(t, f.Addr())
	if got, err := ask(old, "EXISTS n"); got != ":1" {
		t.Fatalf("before: %q, %v", got, err)
	}
	f.Move(two.Addr())
	if got, err := ask(old, "EXISTS n"); got != ":1" {
		t.Errorf("a connection that stands: %q, %v, want the old server", got, err)
	}
	if got, err := ask(dial(t, f.Addr()), "EXISTS n"); got != ":0" {
		t.Errorf("a new connection: %q, %v, want the new server", got, err)
	}
}

func TestForwarder_Silence(t *testing.T) {
	f := redisserver.Forward(t, redisserver.Start(t).Addr())
	old := dial(t, f.Addr())
	if got, err := ask(old, "PING"); got != "+PONG" {
		t.Fatalf("before: %q, %v", got, err)
	}
	f.Silence()
	if got, err := ask(old, "PING"); err == nil {
		t.Errorf("a silenced connection answered %q", got)
	}
	if got, err := ask(dial(t, f.Addr()), "PING"); got != "+PONG" {
		t.Errorf("a new connection: %q, %v", got, err)
	}
}

// Seen to fail without a new target, and when existing connections go on.
func TestForwarder_Cut(t *testing.T) {
	server := redisserver.Start(t)
	f := redisserver.Forward(t, server.Addr())
	old := dial(t, f.Addr())
	if got, err := ask(old, "PING"); got != "+PONG" {
		t.Fatalf("before: %q, %v", got, err)
	}
	f.Cut()
	for what, conn := range map[string]net.Conn{"standing": old, "new": dial(t, f.Addr())} {
		if got, err := ask(conn, "PING"); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a %s connection: %q, %v", what, got, err)
		}
	}
	f.Move(server.Addr())
	if got, err := ask(dial(t, f.Addr()), "PING"); got != "+PONG" {
		t.Errorf("after Move: %q, %v", got, err)
	}
}

// Seen to fail when the bytes pass unlimited, and when the connection stays.
func TestForwarder_CutAfter(t *testing.T) {
	f := redisserver.Forward(t, redisserver.Start(t).Addr())
	old := dial(t, f.Addr())
	f.CutAfter(3)
	if got, err := ask(old, "PING"); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("cut: %q, %v", got, err)
	}
	f.CutAfter(math.MaxInt64)
	if got, err := ask(dial(t, f.Addr()), "PING"); got != "+PONG" {
		t.Errorf("after that: %q, %v", got, err)
	}
}

func TestStartSentinel(t *testing.T) {
	g := redisserver.StartSentinel(t)
	if g.Switched() {
		t.Fatal("switched before anything happened")
	}
	g.Master.Kill()
	awaitTrue(t, "a new master", g.Switched)
}

func TestStartShards(t *testing.T) {
	c := redisserver.StartShards(t)
	master := c.Master("b")
	replica := c.Replica(master)
	if replica == nil {
		t.Fatalf("the master on port %d has no replica", master.Port())
	}
	other := c.Master("a")
	if other == master {
		t.Fatal("two slots far from each other have one owner")
	}
	if err := c.Migrate("b", other); err != nil {
		t.Fatal(err)
	}
	if now := c.Master("b"); now != other {
		t.Errorf("the slot did not move to port %d", other.Port())
	}
	other.Kill()
	awaitTrue(t, "a new owner", func() bool { o := c.MasterBut(other, "b"); return o != nil && o != other })
}

func awaitTrue(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}
