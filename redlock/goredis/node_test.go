package goredis_test

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// A batch that timed out may still be executed. Resent on another connection it
// would be executed twice, the second time after later commands.
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

// fillPool opens a few idle connections by using them at the same time.
func fillPool(node driver.Node, rest []driver.Command) {
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			do(node, append([]driver.Command{{"BLPOP", "none", "0.02"}}, rest...)...)
		})
	}
	busy.Wait()
}

// dropping is a hook that drops commands without an error.
type dropping struct{}

func (dropping) DialHook(next redis.DialHook) redis.DialHook { return next }

func (dropping) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { return nil }
}

func (dropping) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { return nil }
}

func TestNode_Do_noAnswerIsNotNull(t *testing.T) {
	addrs := map[string]string{"a": redisserver.Start(t).Addr()}
	client := redis.NewRing(&redis.RingOptions{Addrs: addrs})
	defer client.Close()
	client.AddHook(dropping{})
	for _, commands := range [][]driver.Command{{{"GET", "k"}}, {{"GET", "k"}, {"GET", "k"}}} {
		for _, r := range goredis.Nodes(hidden{UniversalClient: client})[0].Do(context.Background(), commands) {
			if r.Err == nil {
				t.Error("a command that was not sent counts as a null")
			}
		}
	}
}

// A client that ignores its context continues an abandoned batch. When it connects
// after the deadline, it must not send commands that later ones have overtaken.
//
// Seen to fail when lastArg.MarshalBinary ignores the context.
func TestNode_Do_nothingIsSentLate(t *testing.T) {
	for name, wrap := range map[string]func(r *redis.Ring) redis.UniversalClient{
		"Ring":    func(r *redis.Ring) redis.UniversalClient { return r },
		"wrapper": func(r *redis.Ring) redis.UniversalClient { return hidden{UniversalClient: r} },
	} {
		t.Run(name, func(t *testing.T) { checkNothingIsSentLate(t, wrap) })
	}
}

func checkNothingIsSentLate(t *testing.T, wrap func(r *redis.Ring) redis.UniversalClient) {
	server := redisserver.Start(t)
	client := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": server.Addr()}, HeartbeatFrequency: time.Hour})
	t.Cleanup(func() { _ = client.Close() })
	node := goredis.Nodes(wrap(client))[0]
	server.Pause()
	for key, commands := range map[string][]driver.Command{
		"single": {{"INCR", "single"}},
		"batch":  {{"INCR", "batch"}, {"INCR", "batch"}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		for _, r := range node.Do(ctx, commands) {
			if r.Err == nil {
				t.Errorf("%s: got %v from a server that hangs", key, r.Value)
			}
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: returned after %v", key, took)
		}
	}
	server.Resume()
	time.Sleep(300 * time.Millisecond)
	for _, key := range []string{"single", "batch"} {
		if n, err := server.Do("GET", key); err != nil || n != nil {
			t.Errorf("%s: executed after its Do had returned: %v, %v", key, n, err)
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

// hidden is a wrapper that does not embed its client.
type hidden struct {
	redis.UniversalClient
	password string
}

func TestNode_String(t *testing.T) {
	for _, c := range []struct {
		name   string
		client redis.UniversalClient
		want   string
	}{
		{"server", redis.NewClient(&redis.Options{Addr: "h:1", Username: "u", Password: "p"}), "h:1"},
		{"database", redis.NewClient(&redis.Options{Addr: "h:1", DB: 3}), "h:1/3"},
		{"cluster", redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"a:1", "b:1"}}), "a:1,b:1"},
		{"wrapped server", wrapper{redis.NewClient(&redis.Options{Addr: "h:1", Password: "p"})}, "h:1"},
		{"wrapped cluster", &struct{ *redis.ClusterClient }{redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"a:1"}})}, "a:1"},
		{"hidden", hidden{redis.NewClient(&redis.Options{Addr: "h:1"}), "p"}, "goredis(goredis_test.hidden)"},
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
}

// redlock rejects two nodes of one name, the empty name included.
func TestNode_String_noAddress(t *testing.T) {
	sentinel := &redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"s:1"}, DB: 2}
	for name, makeClient := range map[string]func() redis.UniversalClient{
		"Sentinel":                   func() redis.UniversalClient { return redis.NewFailoverClient(sentinel) },
		"Sentinel with routed reads": func() redis.UniversalClient { return redis.NewFailoverClusterClient(sentinel) },
		"a Cluster told by a function": func() redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
				return nil, nil
			}})
		},
		"an empty ring": func() redis.UniversalClient { return redis.NewRing(&redis.RingOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			one, two := makeClient(), makeClient()
			defer one.Close()
			defer two.Close()
			a, b, again := fmt.Sprint(goredis.Nodes(one)[0]), fmt.Sprint(goredis.Nodes(two)[0]), fmt.Sprint(goredis.Nodes(one)[0])
			if a == "" || a == b || a != again {
				t.Errorf("two groups are named %q and %q, the first then %q", a, b, again)
			}
			if name == "Sentinel" && !strings.HasSuffix(a, "/2") {
				t.Errorf("%q does not name the database", a)
			}
		})
	}
}

// A Sentinel that does not know the master answers with a null, which go-redis
// wraps in its dial error. Mistaken for the server's null it would grant SET NX.
func TestNode_nullOfASentinel(t *testing.T) {
	node := newNode(t, &redis.Options{Addr: "sentinel:26379", Dialer: func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("redis: all sentinels specified in configuration are unreachable: %w", redis.Nil)
	}})
	for _, commands := range [][]driver.Command{{{"SET", "k", "v", "NX", "GET"}}, {{"GET", "k"}, {"GET", "k"}}} {
		for _, r := range node.Do(t.Context(), commands) {
			if r.Err == nil {
				t.Errorf("%v: the reply is %v, want an error", commands, r.Value)
			}
		}
	}
}

// looking is a hook that reads commands, as tracing hooks do.
type looking struct{}

func (looking) DialHook(next redis.DialHook) redis.DialHook { return next }

func (looking) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (looking) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			_ = fmt.Sprint(cmd.Args()...)
		}
		return next(ctx, cmds)
	}
}

// A null that a user callback returns while the client connects is not the server's.
func TestNode_nullOfOnConnect(t *testing.T) {
	type connected func(context.Context, *redis.Conn) error
	for name, newClient := range map[string]func(f connected) redis.UniversalClient{
		"Client": func(f connected) redis.UniversalClient {
			return redis.NewClient(&redis.Options{Addr: redisserver.Start(t).Addr(), OnConnect: f})
		},
		"Ring": func(f connected) redis.UniversalClient {
			addrs := map[string]string{"a": redisserver.Start(t).Addr()}
			return redis.NewRing(&redis.RingOptions{Addrs: addrs, OnConnect: f, HeartbeatFrequency: time.Hour})
		},
		"Cluster": func(f connected) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{redisserver.StartCluster(t).Addr()}, OnConnect: f})
		},
		"wrapped Ring": func(f connected) redis.UniversalClient {
			addrs := map[string]string{"a": redisserver.Start(t).Addr()}
			return hidden{UniversalClient: redis.NewRing(&redis.RingOptions{Addrs: addrs, OnConnect: f, HeartbeatFrequency: time.Hour})}
		},
		"wrapped Cluster": func(f connected) redis.UniversalClient {
			return hidden{UniversalClient: redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{redisserver.StartCluster(t).Addr()}, OnConnect: f})}
		},
	} {
		for _, null := range []error{redis.Nil, fmt.Errorf("the token is missing: %w", redis.Nil)} {
			var failing atomic.Bool
			client := newClient(func(ctx context.Context, conn *redis.Conn) error {
				if failing.Load() {
					return null
				}
				return nil
			})
			t.Cleanup(func() { _ = client.Close() })
			client.AddHook(looking{})
			node := goredis.Nodes(client)[0]
			get := driver.Command{"GET", "k"}
			if got := do(node, get, get); got[0] != nil || got[1] != nil {
				t.Fatalf("%s: %v, want nulls", name, got)
			}
			failing.Store(true)
			do(node, driver.Command{"QUIT"}) // and then it connects anew, also for pipelines, which newer versions have a pool for
			do(node, driver.Command{"QUIT"}, driver.Command{"PING"})
			for _, commands := range [][]driver.Command{{get}, {get, get}, {get}} {
				for _, r := range node.Do(t.Context(), commands) {
					if r.Err == nil {
						t.Errorf("%s, %v, %v: the reply is %v, want an error", name, null, commands, r.Value)
					}
				}
			}
		}
	}
}
