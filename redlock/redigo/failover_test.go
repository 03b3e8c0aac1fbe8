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

// The servers close the idle connections before each call. Votes, releases and questions are sent again, on new connections.
func TestLocker_idleConnectionsClosed(t *testing.T) {
	servers := []*redisserver.Server{redisserver.Start(t), redisserver.Start(t), redisserver.Start(t)}
	var nodes []driver.Node
	for _, s := range servers {
		nodes = append(nodes, newNode(t, pool(s.Addr())))
	}
	locker, err := redlock.New(nodes, redlock.WithNodeTimeout(2*time.Second)) // for busy machines
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = locker.Close(context.Background()) }()
	mutex, err := locker.NewMutex("job")
	if err != nil {
		t.Fatal(err)
	}
	job, err := locker.NewJob("ticks")
	if err != nil {
		t.Fatal(err)
	}
	kill := func() {
		if err := locker.Check(t.Context()); err != nil { // no node is out
			t.Fatal(err)
		}
		for _, s := range servers {
			if _, err := s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 20 {
		kill()
		lease, err := mutex.TryLock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kill()
		if err := lease.Extend(t.Context()); err != nil {
			t.Error(err)
		}
		kill()
		token, err := lease.Detach()
		if err != nil {
			t.Fatal(err)
		}
		kill()
		if lease, err = mutex.Adopt(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		kill()
		if _, err := job.LastTick(t.Context()); err != nil {
			t.Error(err)
		}
		kill()
		if err := lease.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
