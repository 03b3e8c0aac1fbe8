package goredis_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

func newNode(t testing.TB, options *redis.Options) *goredis.Node {
	t.Helper()
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	node, err := goredis.NewNode(client)
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
				if got := do(newNode(t, &redis.Options{Addr: addr}), c.commands...); !reflect.DeepEqual(got, c.want) {
					t.Errorf("got %#v, want %#v", got, c.want)
				}
			})
		}
	}
}

// A node must not depend on the protocol: what only RESP3 has arrives as RESP2
// puts it.
func TestNode_Do_resp3(t *testing.T) {
	server := redisserver.Start(t)
	for _, c := range []struct {
		name, returned string
		want           any
	}{
		{"map", "{map={k={double=0.5}}}", []any{"k", "0.5"}},
		{"double", "{double=0.5}", "0.5"},
		{"true", "true", int64(1)},
		{"false", "false", int64(0)},
		{"null", "nil", nil},
		{"big number", "{big_number='12345678901234567890'}", "12345678901234567890"},
	} {
		for _, protocol := range []int{2, 3} {
			t.Run(fmt.Sprint(c.name, " in RESP", protocol), func(t *testing.T) {
				node := newNode(t, &redis.Options{Addr: server.Addr(), Protocol: protocol})
				got := do(node, driver.Command{"EVAL", "redis.setresp(3) return " + c.returned, "0"})
				if !reflect.DeepEqual(got, []any{c.want}) {
					t.Errorf("got %#v, want %#v", got, c.want)
				}
			})
		}
	}
}

func TestNode_Do_leavesCommandsAlone(t *testing.T) {
	node := newNode(t, &redis.Options{Addr: miniredis.RunT(t).Addr()})
	commands := []driver.Command{{"SET", "k", "v"}, {"GET", "k"}}
	do(node, commands...)
	want := []driver.Command{{"SET", "k", "v"}, {"GET", "k"}}
	if !reflect.DeepEqual(commands, want) {
		t.Errorf("got %q", commands)
	}
}

func TestNode_Do_serverGone(t *testing.T) {
	server := redisserver.Start(t)
	node := newNode(t, &redis.Options{Addr: server.Addr(), DialerRetries: 1})
	do(node, driver.Command{"PING"})
	server.Kill()
	for _, commands := range [][]driver.Command{{{"PING"}}, {{"PING"}, {"GET", "k"}}} {
		for _, r := range node.Do(context.Background(), commands) {
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

// A batch that timed out may still be executed; sent again, on another of the
// pool's connections, it would be executed twice, the second time behind what
// came in between.
func TestNode_Do_isSentOnce(t *testing.T) {
	server := redisserver.Start(t)
	node := newNode(t, &redis.Options{Addr: server.Addr(), ReadTimeout: 100 * time.Millisecond})
	for key, commands := range map[string][]driver.Command{
		"single": {{"INCR", "single"}},
		"batch":  {{"INCR", "batch"}, {"PING"}},
	} {
		fillPool(node, commands[1:])
		server.Pause()
		for _, r := range node.Do(context.Background(), commands) {
			if r.Err == nil {
				t.Errorf("got %v from a server that hangs", r.Value)
			}
		}
		server.Resume()
		if got, err := server.Do("GET", key); err != nil || got != nil && got != "1" {
			t.Errorf("%s: executed %v times (%v)", key, got, err)
		}
	}
}

// fillPool makes a few idle connections, by using them at the same time.
func fillPool(node driver.Node, rest []driver.Command) {
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			do(node, append([]driver.Command{{"BLPOP", "none", "0.02"}}, rest...)...)
		})
	}
	busy.Wait()
}

func TestNode_Do_contextDeadline(t *testing.T) {
	server := redisserver.Start(t)
	node := newNode(t, &redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	do(node, driver.Command{"PING"})
	server.Pause()
	defer server.Resume()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	r := node.Do(ctx, []driver.Command{{"PING"}})[0]
	if passed := time.Since(start); r.Err == nil || passed > time.Second {
		t.Errorf("got %v after %v", text(r), passed)
	}
}

// dropping is a hook that answers nothing and says that all is well.
type dropping struct{}

func (dropping) DialHook(next redis.DialHook) redis.DialHook { return next }

func (dropping) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { return nil }
}

func (dropping) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { return nil }
}

func TestNode_Do_noAnswerIsNotNull(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer client.Close()
	client.AddHook(dropping{})
	for _, commands := range [][]driver.Command{{{"GET", "k"}}, {{"GET", "k"}, {"GET", "k"}}} {
		for _, r := range goredis.Nodes(client)[0].Do(context.Background(), commands) {
			if r.Err == nil {
				t.Error("a command that was not sent counts as a null")
			}
		}
	}
}

func TestNode_Do_password(t *testing.T) {
	const right, wrong = "right-secret", "wrong-secret"
	server := redisserver.Start(t, "--requirepass", right)
	if got := do(newNode(t, &redis.Options{Addr: server.Addr(), Password: right}), driver.Command{"PING"}); got[0] != "PONG" {
		t.Errorf("with the password: %v", got)
	}
	for name, password := range map[string]string{"a wrong password": wrong, "no password": ""} {
		node := newNode(t, &redis.Options{Addr: server.Addr(), Password: password})
		r := node.Do(context.Background(), []driver.Command{{"PING"}})[0]
		if r.Err == nil || strings.Contains(r.Err.Error()+node.String(), "secret") {
			t.Errorf("%s: got %v from %v", name, text(r), node)
		}
	}
}

func TestNode_Do_tls(t *testing.T) {
	server := redisserver.StartTLS(t)
	node := newNode(t, &redis.Options{Addr: server.TLSAddr(), TLSConfig: server.TLSConfig()})
	if got := do(node, driver.Command{"PING"}, driver.Command{"GET", "k"}); !reflect.DeepEqual(got, []any{"PONG", nil}) {
		t.Errorf("got %v", got)
	}
}

func TestNode_Do_cluster(t *testing.T) {
	t.Parallel()
	server := redisserver.StartCluster(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{server.Addr()}})
	defer client.Close()
	got := do(goredis.Nodes(client)[0],
		driver.Command{"SET", "{job}", "1"},
		driver.Command{"SET", "elsewhere", "2"},
		driver.Command{"EVAL", "return redis.call('INCR', KEYS[1]) + #KEYS", "2", "{job}", "{job}:tick"},
		driver.Command{"PTTL", "{job}"},
		driver.Command{"PING"},
		driver.Command{"DEL", "{job}"},
	)
	if want := []any{"OK", "OK", int64(4), int64(-1), "PONG", int64(1)}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
	single := do(goredis.Nodes(client)[0], driver.Command{"EVAL", "return KEYS[1]", "1", "{job}"})
	if !reflect.DeepEqual(single, []any{"{job}"}) {
		t.Errorf("alone: got %#v", single)
	}
}

func TestNewNode_nil(t *testing.T) {
	if _, err := goredis.NewNode(nil); err == nil {
		t.Error("a nil interface was taken")
	}
	var client *redis.Client
	if _, err := goredis.NewNode(client); err == nil {
		t.Error("a nil client was taken")
	}
	if nodes := goredis.Nodes(client, nil); len(nodes) != 2 || nodes[0] != nil || nodes[1] != nil {
		t.Errorf("got %v, want two nil nodes", nodes)
	}
}

func TestNode_String(t *testing.T) {
	failover := func() redis.UniversalClient {
		return redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"s:1"}, DB: 2})
	}
	for _, c := range []struct {
		name   string
		client redis.UniversalClient
		want   string
	}{
		{"server", redis.NewClient(&redis.Options{Addr: "h:1", Username: "u", Password: "p"}), "h:1"},
		{"database", redis.NewClient(&redis.Options{Addr: "h:1", DB: 3}), "h:1/3"},
		{"cluster", redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"a:1", "b:1"}}), "a:1,b:1"},
		{"ring", redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"x": "b:1", "y": "a:1"}}), "a:1,b:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer c.client.Close()
			node, err := goredis.NewNode(c.client)
			if err != nil || node.String() != c.want {
				t.Errorf("got %v, %v, want %s", node, err, c.want)
			}
		})
	}
	nodes := goredis.Nodes(failover(), failover())
	if a, b := nodes[0].(*goredis.Node).String(), nodes[1].(*goredis.Node).String(); a == b || !strings.HasSuffix(a, "/2") {
		t.Errorf("two Sentinel groups are named %s and %s", a, b)
	}
}
