package redigo_test

import (
	"context"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock/driver"
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

// text is a value, or the text of an error.
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

func TestNode_Do(t *testing.T) {
	addrs := map[string]string{
		"miniredis":    miniredis.RunT(t).Addr(),
		"redis-server": redisserver.Start(t).Addr(),
	}
	const odd = "a\x00{b}\r\n\xff"
	sha := strings.Repeat("0", 40)
	for _, c := range []struct {
		name     string
		commands []driver.Command
		want     []any
	}{
		{"string", []driver.Command{{"SET", odd, odd}, {"GET", odd}}, []any{"OK", odd}},
		{"null", []driver.Command{{"GET", "none"}}, []any{nil}},
		{"null in a pipeline", []driver.Command{{"GET", "none"}, {"GET", odd}}, []any{nil, odd}},
		{"empty string", []driver.Command{{"SET", "e", ""}, {"GET", "e"}}, []any{"OK", ""}},
		{"integer", []driver.Command{{"PTTL", odd}}, []any{int64(-1)}},
		{"array", []driver.Command{{"MGET", odd, "none"}}, []any{[]any{odd, nil}}},
		{
			"nested array",
			[]driver.Command{{"EVAL", "return {1, {KEYS[1]}, {}}", "1", odd}},
			[]any{[]any{int64(1), []any{odd}, []any{}}},
		},
		{
			"unknown script",
			[]driver.Command{{"EVALSHA", sha, "0"}},
			[]any{"NOSCRIPT No matching script. Please use EVAL."},
		},
		{
			"order, and errors that concern only their own command",
			[]driver.Command{
				{"SET", "l", "1"}, {"HGET", "l", "f"}, {"INCR", "l"}, {"GET", "none"}, {"EVALSHA", sha, "0"}, {"GET", "l"},
			},
			[]any{
				"OK", "WRONGTYPE Operation against a key holding the wrong kind of value", int64(2), nil,
				"NOSCRIPT No matching script. Please use EVAL.", "2",
			},
		},
	} {
		for server, addr := range addrs {
			t.Run(c.name+" on "+server, func(t *testing.T) {
				if got := do(newNode(t, pool(addr)), c.commands...); !reflect.DeepEqual(got, c.want) {
					t.Errorf("got %#v, want %#v", got, c.want)
				}
			})
		}
	}
}

func TestNode_Do_leavesCommandsAlone(t *testing.T) {
	node := newNode(t, pool(miniredis.RunT(t).Addr()))
	commands := []driver.Command{{"SET", "k", "v"}, {"GET", "k"}}
	do(node, commands...)
	want := []driver.Command{{"SET", "k", "v"}, {"GET", "k"}}
	if !reflect.DeepEqual(commands, want) {
		t.Errorf("got %q", commands)
	}
}

func TestNode_Do_serverGone(t *testing.T) {
	server := redisserver.Start(t)
	node := newNode(t, pool(server.Addr()))
	do(node, driver.Command{"PING"})
	server.Kill()
	for range 2 {
		for _, r := range node.Do(context.Background(), []driver.Command{{"PING"}, {"GET", "k"}}) {
			if r.Err == nil {
				t.Errorf("got %v from a dead server", r.Value)
			}
		}
	}
	server.Restart()
	if got := do(node, driver.Command{"PING"}); got[0] != "PONG" {
		t.Errorf("after the restart: %v", got)
	}
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

func TestNode_Do_contextDeadline(t *testing.T) {
	server := redisserver.Start(t)
	node := newNode(t, pool(server.Addr()))
	do(node, driver.Command{"PING"})
	server.Pause()
	defer server.Resume()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	for _, r := range node.Do(ctx, []driver.Command{{"PING"}, {"PING"}}) {
		if !errors.Is(r.Err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want a timeout", text(r))
		}
	}
	if passed := time.Since(start); passed > time.Second {
		t.Errorf("returned after %v", passed)
	}
}

// What comes after a timed out batch must not read its late replies.
func TestNode_Do_afterATimeout(t *testing.T) {
	server := redisserver.Start(t)
	node := newNode(t, pool(server.Addr()))
	do(node, driver.Command{"PING"})
	server.Pause()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	node.Do(ctx, []driver.Command{{"ECHO", "late"}})
	server.Resume()
	if got := do(node, driver.Command{"ECHO", "own"}); got[0] != "own" {
		t.Errorf("got %v", got)
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

func TestNode_Do_tls(t *testing.T) {
	server := redisserver.StartTLS(t)
	node := newNode(t, pool(server.TLSAddr(), redis.DialUseTLS(true), redis.DialTLSConfig(server.TLSConfig())))
	if got := do(node, driver.Command{"PING"}, driver.Command{"GET", "k"}); !reflect.DeepEqual(got, []any{"PONG", nil}) {
		t.Errorf("got %v", got)
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

// redlock refuses two nodes of one name: the same pool twice is one vote.
func TestNode_String(t *testing.T) {
	one, two := pool("h:1"), pool("h:2")
	if a, b := newNode(t, one).String(), newNode(t, one).String(); a != b {
		t.Errorf("two nodes of a pool are named %s and %s", a, b)
	}
	if a, b := newNode(t, one).String(), newNode(t, two).String(); a == b {
		t.Errorf("two pools are both named %s", a)
	}
}
