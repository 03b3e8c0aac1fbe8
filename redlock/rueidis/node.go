package rueidis

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
)

var (
	_ driver.Node       = (*Node)(nil)
	_ driver.Subscriber = (*Node)(nil)
)

// Node is one Redis or Valkey deployment behind a rueidis client. It is safe
// for concurrent use, as the client is. It does not close the client.
type Node struct {
	client  rueidis.Client
	name    string
	cluster bool
}

// NewNode makes a node of client. It sends nothing. A nil client is an error.
func NewNode(client rueidis.Client) (*Node, error) {
	if client == nil {
		return nil, errors.New("rueidis: the client is nil")
	}
	return &Node{
		client:  client,
		name:    strings.Join(slices.Sorted(maps.Keys(client.Nodes())), ","),
		cluster: client.Mode() == rueidis.ClientModeCluster,
	}, nil
}

// Nodes makes one node of each client, in order. A nil client becomes a nil
// node, which redlock.New refuses with its position.
func Nodes(clients ...rueidis.Client) []driver.Node {
	nodes := make([]driver.Node, len(clients))
	for i, client := range clients {
		if node, err := NewNode(client); err == nil {
			nodes[i] = node
		}
	}
	return nodes
}

// String is the address of the server, as the client knew it when the node was
// made. Several addresses, of a Cluster, are joined by commas. It holds neither
// a password nor the number of the database.
func (n *Node) String() string { return n.name }

// Do sends commands as one pipeline and returns a reply for each, in order. It
// returns when all are there, when the connection fails or when ctx ends.
func (n *Node) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	batch := make(rueidis.Commands, len(commands))
	for i, c := range commands {
		batch[i] = n.build(c)
	}
	results := n.client.DoMulti(ctx, batch...)
	// A reply that is left out must not look like one: null is a granted vote. The core tells of those that are missing.
	replies := make([]driver.Reply, min(len(results), len(commands)))
	for i := range replies {
		replies[i] = reply(results[i])
	}
	return replies
}

// build adds keys as plain arguments. To mark them with Arbitrary.Keys would
// make a client of one server pick one of its four connections at random, and
// a batch could overtake the one before it.
func (n *Node) build(c driver.Command) rueidis.Completed {
	built := n.client.B().Arbitrary(c[0].(string))
	for _, arg := range c[1:] {
		built = built.Args(arg.(string))
	}
	if !n.cluster {
		return built.Build()
	}
	return built.Build().SetSlot(key(c))
}

// key is what a Cluster routes c by. Commands without a key are routed too, as
// anywhere is right for them: rueidis panics over a batch that has commands
// without a slot and commands of different slots.
func key(c driver.Command) string {
	switch {
	case len(c) > 3 && strings.HasPrefix(strings.ToUpper(c[0].(string)), "EVAL"):
		return c[3].(string)
	case len(c) > 1:
		return c[1].(string)
	}
	return ""
}
