package redigo_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/drivertest"
	"github.com/redtick/redtick/redlock/redigo"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

func pool(addr string, options ...redis.DialOption) *redis.Pool {
	return &redis.Pool{
		MaxIdle: 2,
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			return redis.DialContext(ctx, "tcp", addr, options...)
		},
	}
}

func newNode(t testing.TB, pool *redis.Pool) *redigo.Node {
	t.Helper()
	t.Cleanup(func() { _ = pool.Close() })
	node, err := redigo.NewNode(pool)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// text returns a reply's value, or the text of its error.
func text(r driver.Reply) any {
	if r.Err != nil {
		return r.Err.Error()
	}
	return r.Value
}

func do(node driver.Node, commands ...driver.Command) []any {
	var all []any
	for _, r := range node.Do(context.Background(), commands) {
		all = append(all, text(r))
	}
	return all
}

// The server answers the first command and then closes the connection.
func TestNode_Do_connectionBreaksInABatch(t *testing.T) {
	server := redisserver.Start(t)
	got := newNode(t, pool(server.Addr())).Do(context.Background(),
		[]driver.Command{{"SET", "k", "v"}, {"QUIT"}, {"GET", "k"}, {"GET", "k"}})
	if got[0].Value != "OK" || got[0].Err != nil {
		t.Errorf("the answered command: %v", text(got[0]))
	}
	for _, r := range got[2:] {
		if r.Err == nil {
			t.Errorf("got %v behind a QUIT", r.Value)
		}
	}
}

func TestNode_Do_password(t *testing.T) {
	const right, wrong = "right-secret", "wrong-secret"
	server := redisserver.Start(t, "--requirepass", right)
	ping := driver.Command{"PING"}
	if got := do(newNode(t, pool(server.Addr(), redis.DialPassword(right))), ping); got[0] != "PONG" {
		t.Errorf("with the password: %v", got)
	}
	for name, password := range map[string]string{"a wrong password": wrong, "no password": ""} {
		node := newNode(t, pool(server.Addr(), redis.DialPassword(password)))
		r := node.Do(context.Background(), []driver.Command{ping})[0]
		if r.Err == nil || strings.Contains(r.Err.Error()+node.String(), "secret") {
			t.Errorf("%s: got %v from %v", name, text(r), node)
		}
	}
}

func TestNewNode_refuses(t *testing.T) {
	for name, pool := range map[string]*redis.Pool{"no pool": nil, "no Dial": {}} {
		if _, err := redigo.NewNode(pool); err == nil {
			t.Errorf("%s: taken", name)
		}
		if nodes := redigo.Nodes(pool); len(nodes) != 1 || nodes[0] != nil {
			t.Errorf("%s: got %v, want a nil node", name, nodes)
		}
	}
}

// lender is a user's wrapper of a pool.
type lender struct {
	pool *redis.Pool
	name string
}

func (l *lender) GetContext(ctx context.Context) (redis.Conn, error) { return l.pool.GetContext(ctx) }
func (l *lender) String() string                                     { return l.name }

func TestNewNode_poolInterface(t *testing.T) {
	server := redisserver.Start(t)
	p := &lender{pool(server.Addr()), "orders"}
	t.Cleanup(func() { _ = p.pool.Close() })
	node, err := redigo.NewNode(p)
	if err != nil {
		t.Fatal(err)
	}
	if got := do(node, driver.Command{"PING"}); got[0] != "PONG" || node.String() != "orders" {
		t.Errorf("got %v from %v", got, node)
	}
	drivertest.Exercise(t, server, node)
	for end := time.Now().Add(5 * time.Second); p.pool.ActiveCount() > p.pool.IdleCount(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the subscription's connection did not come back to the pool")
		}
	}
	if got := do(node, driver.Command{"PING"}); got[0] != "PONG" {
		t.Errorf("after a subscription: %v", got)
	}
	if _, err := redigo.NewNode((*lender)(nil)); err == nil {
		t.Error("a nil pool was taken")
	}
	if mixed := redigo.Nodes[redigo.Pool](p, p.pool); mixed[0] == nil || mixed[1] == nil {
		t.Errorf("got %v of two kinds of pools", mixed)
	}
}

// redlock rejects two nodes of one name: one pool given twice has one vote.
func TestNode_String(t *testing.T) {
	one, two := pool("h:1"), pool("h:2")
	if a, b := newNode(t, one).String(), newNode(t, one).String(); a != b {
		t.Errorf("two nodes of a pool are named %s and %s", a, b)
	}
	if a, b := newNode(t, one).String(), newNode(t, two).String(); a == b {
		t.Errorf("two pools are both named %s", a)
	}
}

// At maxclients a server answers a new connection with an error and closes it. If
// that connection went back to the pool, every other batch would fail with a broken
// pipe.
func TestNode_Do_tooManyClients(t *testing.T) {
	server := redisserver.Start(t)
	p := pool(server.Addr())
	node := newNode(t, p)
	last, err := redis.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	if _, err := last.Do("CONFIG", "SET", "maxclients", "1"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		got := do(node, driver.Command{"PING"})
		if got[0] != "ERR max number of clients reached" || p.IdleCount() > 0 {
			t.Errorf("got %v, and %d connections are kept", got, p.IdleCount())
		}
	}
}
