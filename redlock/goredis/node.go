package goredis

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

var _ driver.Subscriber = (*Node)(nil)
var _ driver.Cluster = (*Node)(nil)

// Node is one Redis deployment behind a go-redis client. It is safe for
// concurrent use, as the client is. It does not close the client.
type Node struct {
	client redis.UniversalClient
	name   string
	single *redis.Client // for one server or a Sentinel group; shares the client's connections
	late   bool          // Do may outlast a deadline: user callbacks, connections without deadlines, or a wrapper
	watch  exchange.Watch
	tenure exchange.Tenure

	// For a Cluster or a Ring.
	shards  *exchange.Shards
	forEach forEach
	ring    ring // nil for a Cluster

	mu      sync.Mutex
	servers map[*redis.Client]*Node // of a Cluster or a Ring, that were used
}

// NewNode returns a node that uses client. It does not connect. A nil client is
// an error.
func NewNode(client redis.UniversalClient) (*Node, error) {
	if exchange.IsNil(client) {
		return nil, errors.New("goredis: the client is nil; make one with redis.NewClient")
	}
	n := &Node{client: client, name: name(client), late: true}
	switch c := client.(type) {
	case *redis.Client:
		o := c.Options()
		n.single = punctual(c)
		n.late = o.OnConnect != nil || o.CredentialsProvider != nil || o.CredentialsProviderContext != nil || o.StreamingCredentialsProvider != nil
		if o.ReadTimeout < 0 { // setting a deadline on the connection would fail
			n.single, n.late = c.WithTimeout(o.ReadTimeout), true
		}
	case cluster:
		n.split(c.MasterForKey, c.ForEachMaster)
	case ring:
		n.ring = c
		n.split(n.ringServer, c.ForEachShard)
	}
	return n, nil
}

// Nodes returns one node for each client, in order. A nil client becomes a nil
// node, which redlock.New rejects with its position.
func Nodes(clients ...redis.UniversalClient) []driver.Node {
	return exchange.Nodes(clients, NewNode)
}

// String returns the server's address, followed by "/" and the database number
// unless that is 0. Several addresses, of a Cluster or a Ring, are joined by
// commas. It never contains a password.
func (n *Node) String() string { return n.name }

// Punctual reports whether Do meets its deadline without a watching goroutine.
// It does for one server or a Sentinel group, unless the client has an OnConnect,
// a credentials provider or a ReadTimeout of -2.
func (n *Node) Punctual() bool { return !n.late }

// Do sends commands as one pipeline and returns a reply for each, in order. It
// returns by the context's deadline, whatever the client's options say. A
// connection that did not answer by then is not used again.
func (n *Node) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	if n.shards != nil {
		return n.shards.Do(ctx, commands)
	}
	var replies []driver.Reply
	if n.late {
		replies = n.doWatched(ctx, commands)
	} else {
		replies = n.do(ctx, commands)
	}
	if send := exchange.IdleCommands(replies...); send != nil {
		n.sweep(send)
	}
	n.tenure.Note(replies)
	return replies
}

func (n *Node) doWatched(ctx context.Context, commands []driver.Command) []driver.Reply {
	return n.watch.Do(ctx, commands, false, func() []driver.Reply { return n.do(ctx, commands) })
}

func (n *Node) do(ctx context.Context, commands []driver.Command) []driver.Reply {
	switch {
	case n.single == nil:
		// A pipeline even for one command. For its first single command a Cluster client
		// sends COMMAND to a random server, and when that one hangs, everything waits.
		return n.exec(ctx, n.client.Pipeline(), commands)
	case len(commands) == 1:
		// Three quarters of the allocations of a pipeline of one.
		c := n.newCommand(ctx, commands[0])
		err := n.single.Process(ctx, &c)
		return []driver.Reply{c.reply(err)}
	}
	return n.exec(ctx, n.single.Pipeline(), commands)
}

func (n *Node) exec(ctx context.Context, pipe redis.Pipeliner, commands []driver.Command) []driver.Reply {
	sent, cmds := make([]command, len(commands)), make([]redis.Cmder, len(commands))
	for i := range commands {
		sent[i] = n.newCommand(ctx, commands[i])
		cmds[i] = &sent[i]
	}
	_ = pipe.BatchProcess(ctx, cmds...)
	_, err := pipe.Exec(ctx)
	replies := make([]driver.Reply, len(cmds))
	for i := range sent {
		replies[i] = sent[i].reply(err)
	}
	return replies
}

// newCommand does not copy c, which nodes share: go-redis only reads it.
func (n *Node) newCommand(ctx context.Context, c driver.Command) command {
	cmd := command{Cmd: *redis.NewCmd(ctx, c...)}
	if n.single == nil {
		cmd.ctx = ctx
	}
	return cmd
}
