package goredis

import (
	"context"
	"errors"
	"reflect"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
)

var (
	_ driver.Node       = (*Node)(nil)
	_ driver.Subscriber = (*Node)(nil)
)

// Node is one Redis deployment behind a go-redis client. It is safe for
// concurrent use, as the client is. It does not close the client.
type Node struct {
	client redis.UniversalClient
	name   string
}

// NewNode makes a node of client. It does not connect. A nil client is an
// error.
func NewNode(client redis.UniversalClient) (*Node, error) {
	if isNil(client) {
		return nil, errors.New("goredis: the client is nil")
	}
	return &Node{client: client, name: name(client)}, nil
}

// Nodes makes one node of each client, in order. A nil client becomes a nil
// node, which redlock.New refuses with its position.
func Nodes(clients ...redis.UniversalClient) []driver.Node {
	nodes := make([]driver.Node, len(clients))
	for i, client := range clients {
		if node, err := NewNode(client); err == nil {
			nodes[i] = node
		}
	}
	return nodes
}

// String is the server's address, with "/" and the number of the database
// unless that is 0. Several addresses, of a Cluster or a Ring, are joined by
// commas. It never holds a password.
func (n *Node) String() string { return n.name }

// Do sends commands as one pipeline and returns a reply for each, in order. It
// returns when the client does: see the package's limits.
func (n *Node) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	if len(commands) == 1 {
		// Three quarters of the allocations of a pipeline of one.
		c := newCommand(ctx, commands[0])
		err := n.client.Process(ctx, c)
		return []driver.Reply{c.reply(err)}
	}
	cmds := make([]redis.Cmder, len(commands))
	for i := range commands {
		cmds[i] = newCommand(ctx, commands[i])
	}
	pipe := n.client.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...)
	_, err := pipe.Exec(ctx)
	replies := make([]driver.Reply, len(cmds))
	for i := range cmds {
		replies[i] = cmds[i].(command).reply(err)
	}
	return replies
}

// isNil also sees the nil *redis.Client of a failed constructor, which is not
// a nil interface.
func isNil(client redis.UniversalClient) bool {
	v := reflect.ValueOf(client)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}
