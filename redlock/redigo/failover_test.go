package redigo_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/drivertest"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

func TestNode_failover(t *testing.T) {
	drivertest.TestFailover(t, func(t testing.TB, addr string) driver.Node {
		p := pool(addr)
		p.MaxIdle = 8
		return newNode(t, p)
	})
}

// The pool dials if an idle connection is too old. The TLS handshake takes no
// context.
func TestNode_Do_oldConnection(t *testing.T) {
	server := redisserver.StartTLS(t)
	p := pool(server.TLSAddr(), redis.DialUseTLS(true), redis.DialTLSConfig(server.TLSConfig()))
	p.MaxConnLifetime = 100 * time.Millisecond
	node := newNode(t, p)
	if got := do(node, driver.Command{"PING"}); got[0] != "PONG" {
		t.Fatal(got)
	}
	time.Sleep(p.MaxConnLifetime)
	server.Pause()
	kept := time.AfterFunc(5*time.Second, server.Resume)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if r := node.Do(ctx, []driver.Command{{"PING"}})[0]; r.Err == nil {
		t.Errorf("got %v from a server that hangs", r.Value)
	}
	if !kept.Stop() {
		t.Error("a Do waited for the pool to dial, far beyond its deadline")
	}
	server.Resume()
}

func TestNode_slowClient(t *testing.T) {
	drivertest.TestSlowClient(t, func(t testing.TB, addr string, wait func()) driver.Node {
		p := pool(addr)
		p.TestOnBorrow = func(redis.Conn, time.Time) error { wait(); return nil }
		return newNode(t, p)
	})
}

func TestNode_ownErrors(t *testing.T) {
	for name, dial := range map[string]func(addr string, fail func() error) (redis.Conn, error){
		"Dial": func(addr string, fail func() error) (redis.Conn, error) {
			if err := fail(); err != nil {
				return nil, err
			}
			return redis.Dial("tcp", addr)
		},
		"connection": func(addr string, fail func() error) (redis.Conn, error) {
			conn, err := net.Dial("tcp", addr)
			return redis.NewConn(drivertest.Conn(conn, fail), 0, 0), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.TestOwnErrors(t, func(t testing.TB, addr string, fail func() error) driver.Node {
				return newNode(t, &redis.Pool{MaxIdle: 2, Dial: func() (redis.Conn, error) { return dial(addr, fail) }})
			})
		})
	}
}

// Without its own time limit, redigo's Dial waits as long as the server hangs, and
// each Do would leave a connection behind.
func TestNode_Do_dialHangs(t *testing.T) {
	server := redisserver.Start(t, "--requirepass", "secret")
	p := &redis.Pool{MaxIdle: 2, Dial: func() (redis.Conn, error) {
		return redis.Dial("tcp", server.Addr(), redis.DialPassword("secret"))
	}}
	node := newNode(t, p)
	ping := []driver.Command{{"PING"}}
	do(node, ping[0])
	server.Pause()
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if r := node.Do(ctx, ping)[0]; r.Err == nil {
			t.Errorf("got %v from a server that hangs", r.Value)
		}
		cancel()
	}
	if n := p.ActiveCount(); n > 10 {
		t.Errorf("%d connections wait for a server that hangs", n)
	}
	server.Resume()
	for end := time.Now().Add(5 * time.Second); do(node, ping[0])[0] != "PONG"; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not well after the server is")
		}
	}
}

func TestNode_cutReply(t *testing.T) {
	drivertest.TestCutReply(t, func(t testing.TB, addr string) driver.Node { return newNode(t, pool(addr)) })
}

// A server closes the idle connections while a lease is held. Its unlock is sent again, on a new connection.
func TestLocker_idleConnectionClosed(t *testing.T) {
	server := redisserver.Start(t)
	locker, err := redlock.New([]driver.Node{newNode(t, pool(server.Addr()))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = locker.Close(context.Background()) }()
	job, err := locker.NewJob("job")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		lease, err := job.Claim(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if out, err := server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"); err != nil || out == int64(0) {
			t.Fatal(out, err)
		}
		if err := lease.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"); err != nil {
			t.Fatal(err)
		}
	}
}
