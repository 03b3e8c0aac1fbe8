package rueidis_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
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

// The package doc promises that a service can start while a node is out.
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

// A client of one server has four connections. redlock must stay on one, or a
// release could overtake its acquire.
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

// forgetful is a client whose pipeline omits results, as a wrapper may.
type forgetful struct {
	rueidis.Client
	results int
}

func (c forgetful) DoMulti(context.Context, ...rueidis.Completed) []rueidis.RedisResult {
	return make([]rueidis.RedisResult, c.results)
}

// An omitted result must not become Redis' null, which is a granted vote.
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

// A null that a user callback returns while the client connects is not the server's.
func TestNode_nullOfCredentials(t *testing.T) {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{redisserver.Start(t).Addr()}, ForceSingleClient: true,
		AuthCredentialsFn: func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
			return rueidis.AuthCredentials{}, rueidis.Nil
		},
	})
	if err == nil {
		t.Fatal("the client connected")
	}
	t.Cleanup(client.Close)
	for _, commands := range [][]driver.Command{{{"GET", "k"}}, {{"GET", "k"}, {"GET", "k"}}} {
		for _, r := range rueidisnode.Nodes(client)[0].Do(t.Context(), commands) {
			if r.Err == nil {
				t.Errorf("%v: the reply is %v, want an error", commands, r.Value)
			}
		}
	}
}

// changing is a client of a Cluster whose servers the test sets.
type changing struct {
	rueidis.Client
	servers atomic.Pointer[map[string]rueidis.Client]
}

func (c *changing) Nodes() map[string]rueidis.Client { return *c.servers.Load() }

// A client closes its connections to a server that leaves the Cluster, and opens others
// when it comes back.
//
// Seen to fail without Node.closed.
func TestNode_Do_serverComesBack(t *testing.T) {
	option := rueidis.ClientOption{InitAddress: []string{redisserver.StartCluster(t).Addr()}}
	connect := func(single bool) rueidis.Client {
		option.ForceSingleClient = single
		client, err := rueidis.NewClient(option)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return client
	}
	client := &changing{Client: connect(false)}
	before, after := connect(true), connect(true)
	client.servers.Store(&map[string]rueidis.Client{option.InitAddress[0]: before})
	node := rueidisnode.Nodes(client)[0]
	set := driver.Command{"SET", "k", "v"}
	if got := do(node, set); got[0] != "OK" {
		t.Fatal(got)
	}
	before.Close()
	client.servers.Store(&map[string]rueidis.Client{option.InitAddress[0]: after})
	for end := time.Now().Add(5 * time.Second); do(node, set)[0] != "OK"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the node keeps to closed connections")
		}
	}
}
