package rueidis_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
	rueidisnode "github.com/redtick/redtick/redlock/rueidis"
)

func newNode(t testing.TB, option rueidis.ClientOption) *rueidisnode.Node {
	t.Helper()
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	node, err := rueidisnode.NewNode(client)
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
	server := redisserver.Start(t)
	node := newNode(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}})
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
			"error of no special kind",
			[]driver.Command{{"SET", odd, "1", "NOSUCH"}, {"NOSUCH"}},
			[]any{"ERR syntax error", "ERR unknown command 'NOSUCH', with args beginning with: "},
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
		t.Run(c.name, func(t *testing.T) {
			if got := do(node, c.commands...); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %#v, want %#v", got, c.want)
			}
		})
	}
}

// A node must not depend on the protocol: what only RESP3 has arrives as RESP2
// puts it.
func TestNode_Do_resp3(t *testing.T) {
	server := redisserver.Start(t)
	nodes := []*rueidisnode.Node{
		2: newNode(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}, AlwaysRESP2: true, DisableCache: true}),
		3: newNode(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}}),
	}
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
				got := do(nodes[protocol], driver.Command{"EVAL", "redis.setresp(3) return " + c.returned, "0"})
				if !reflect.DeepEqual(got, []any{c.want}) {
					t.Errorf("got %#v, want %#v", got, c.want)
				}
			})
		}
	}
}

func TestNode_Do_leavesCommandsAlone(t *testing.T) {
	node := newNode(t, rueidis.ClientOption{InitAddress: []string{redisserver.Start(t).Addr()}})
	commands := []driver.Command{{"SET", "k", "v"}, {"GET", "k"}}
	do(node, commands...)
	want := []driver.Command{{"SET", "k", "v"}, {"GET", "k"}}
	if !reflect.DeepEqual(commands, want) {
		t.Errorf("got %q", commands)
	}
}

func TestNode_Do_serverGone(t *testing.T) {
	server := redisserver.Start(t)
	node := newNode(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}})
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

// What the package doc promises to those who start while a node is out.
func TestNode_Do_serverComesLater(t *testing.T) {
	server := redisserver.Start(t)
	server.Kill()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, ForceSingleClient: true})
	if err == nil || client == nil {
		t.Fatalf("got %v, %v, want a client and an error", client, err)
	}
	defer client.Close()
	node := rueidisnode.Nodes(client)[0]
	if r := node.Do(context.Background(), []driver.Command{{"PING"}})[0]; r.Err == nil {
		t.Errorf("got %v from a dead server", r.Value)
	}
	server.Restart()
	if got := do(node, driver.Command{"PING"}); got[0] != "PONG" {
		t.Errorf("after the start: %v", got)
	}
}

func TestNode_Do_contextDeadline(t *testing.T) {
	server := redisserver.Start(t)
	node := newNode(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}})
	do(node, driver.Command{"PING"})
	server.Pause()
	defer server.Resume()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	for _, r := range node.Do(ctx, []driver.Command{{"PING"}, {"PING"}}) {
		if !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a timeout", text(r))
		}
	}
	if passed := time.Since(start); passed > time.Second {
		t.Errorf("returned after %v", passed)
	}
}

// A client of one server has four connections; redlock has to stay on one, or
// the release of a lock could overtake its acquire.
func TestNode_Do_staysOnOneConnection(t *testing.T) {
	server := redisserver.Start(t)
	node := newNode(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}})
	ids := map[any]bool{}
	for i := range 20 {
		for _, id := range do(node, driver.Command{"CLIENT", "ID"}, driver.Command{"GET", fmt.Sprint(i)})[:1] {
			ids[id] = true
		}
	}
	if len(ids) != 1 {
		t.Errorf("used the connections %v", ids)
	}
}

func TestNode_Do_password(t *testing.T) {
	const right, wrong = "right-secret", "wrong-secret"
	server := redisserver.Start(t, "--requirepass", right)
	node := newNode(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}, Password: right})
	if got := do(node, driver.Command{"PING"}); got[0] != "PONG" {
		t.Errorf("with the password: %v", got)
	}
	// The client itself refuses to be made without the right password.
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{server.Addr()}, Password: wrong, ForceSingleClient: true,
	})
	if err == nil {
		t.Fatal("a wrong password was taken")
	}
	defer client.Close()
	for _, node := range rueidisnode.Nodes(client) {
		r := node.Do(context.Background(), []driver.Command{{"PING"}})[0]
		if said := fmt.Sprint(text(r), node); r.Err == nil || strings.Contains(said, "secret") {
			t.Errorf("a wrong password: %s", said)
		}
	}
}

func TestNode_Do_tls(t *testing.T) {
	server := redisserver.StartTLS(t)
	node := newNode(t, rueidis.ClientOption{InitAddress: []string{server.TLSAddr()}, TLSConfig: server.TLSConfig()})
	if got := do(node, driver.Command{"PING"}, driver.Command{"GET", "k"}); !reflect.DeepEqual(got, []any{"PONG", nil}) {
		t.Errorf("got %v", got)
	}
}

func TestNode_Do_cluster(t *testing.T) {
	t.Parallel()
	server := redisserver.StartCluster(t)
	node := newNode(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}})
	got := do(node,
		driver.Command{"SET", "{job}", "1"},
		driver.Command{"SET", "elsewhere", "2"},
		driver.Command{"EVAL", "return redis.call('INCR', KEYS[1]) + #KEYS", "2", "{job}", "{job}:tick"},
		driver.Command{"EVAL", "return 7", "0"},
		driver.Command{"PTTL", "{job}"},
		driver.Command{"PING"},
		driver.Command{"PUBLISH", "c", "m"},
		driver.Command{"DEL", "{job}"},
	)
	want := []any{"OK", "OK", int64(4), int64(7), int64(-1), "PONG", int64(0), int64(1)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
	if node.String() != server.Addr() {
		t.Errorf("named %s, want %s", node, server.Addr())
	}
}

func TestNewNode_nil(t *testing.T) {
	if _, err := rueidisnode.NewNode(nil); err == nil {
		t.Error("a nil client was taken")
	}
	if nodes := rueidisnode.Nodes(nil, nil); len(nodes) != 2 || nodes[0] != nil || nodes[1] != nil {
		t.Errorf("got %v, want two nil nodes", nodes)
	}
}

func TestNode_String(t *testing.T) {
	server := redisserver.Start(t)
	node := newNode(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}})
	if node.String() != server.Addr() {
		t.Errorf("got %s, want %s", node, server.Addr())
	}
}

// forgetful is a client whose pipeline leaves results out, as a wrapper may.
type forgetful struct {
	rueidis.Client
	results int
}

func (c forgetful) DoMulti(context.Context, ...rueidis.Completed) []rueidis.RedisResult {
	return make([]rueidis.RedisResult, c.results)
}

// Seen to fail when a result that is left out is Redis' null, which is a granted vote.
func TestNode_resultsLeftOut(t *testing.T) {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{redisserver.Start(t).Addr()}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	for results := range 2 {
		node, err := rueidisnode.NewNode(forgetful{client, results})
		if err != nil {
			t.Fatal(err)
		}
		replies := node.Do(t.Context(), []driver.Command{{"SET", "a", "b"}, {"SET", "c", "d"}})
		if len(replies) != results {
			t.Errorf("%d replies made of %d results", len(replies), results)
		}
	}
}
