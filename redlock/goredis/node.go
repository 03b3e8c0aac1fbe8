package goredis

import (
	"cmp"
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

var (
	_ driver.Node       = (*Node)(nil)
	_ driver.Subscriber = (*Node)(nil)
	_ driver.Cluster    = (*Node)(nil)
)

// Node is one Redis deployment behind a go-redis client. It is safe for
// concurrent use, as the client is. It does not close the client.
type Node struct {
	client redis.UniversalClient
	name   string
	// At most one of these is set; none for a wrapper that hides its client.
	single  *redis.Client // for one server or Sentinel group; shares the client's connections
	cluster cluster
	ring    ring

	late   bool             // single may outlast a deadline: user callbacks, or connections without deadlines
	watch  exchange.Watch   // used if late
	shards *exchange.Shards // nil unless a Cluster
	layout layout
}

// cluster identifies a Cluster client, including one embedded in a wrapper.
type cluster interface {
	MasterForKey(ctx context.Context, key string) (*redis.Client, error)
	ForEachMaster(ctx context.Context, visit func(context.Context, *redis.Client) error) error
}

// ring identifies a Ring, including one embedded in a wrapper.
type ring interface {
	GetShardClientForKey(key string) (*redis.Client, error)
	ForEachShard(ctx context.Context, visit func(context.Context, *redis.Client) error) error
	Len() int
	Options() *redis.RingOptions
}

// NewNode returns a node that uses client. It does not connect. A nil client is
// an error.
func NewNode(client redis.UniversalClient) (*Node, error) {
	if exchange.IsNil(client) {
		return nil, errors.New("goredis: the client is nil; make one with redis.NewClient")
	}
	n := &Node{client: client, name: name(client)}
	switch c := client.(type) {
	case *redis.Client:
		n.single = punctual(c)
		o := c.Options()
		n.late = o.OnConnect != nil || o.CredentialsProvider != nil || o.CredentialsProviderContext != nil || o.StreamingCredentialsProvider != nil
		if o.ReadTimeout < 0 { // setting a deadline on the connection would fail
			n.single, n.late = c.WithTimeout(o.ReadTimeout), true
		}
	case cluster:
		n.cluster, n.layout.cluster = c, c
		n.shards = exchange.NewShards(n.doSeveral)
	case ring:
		n.ring = c
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
func (n *Node) Punctual() bool { return n.single != nil && !n.late }

// Do sends commands as one pipeline and returns a reply for each, in order. It
// returns by the context's deadline, whatever the client's options say. A
// connection that did not answer by then is not used again.
func (n *Node) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	switch {
	case n.shards != nil:
		return n.shards.Do(ctx, commands)
	case n.single == nil:
		return n.doSeveral(ctx, commands)
	case n.late:
		return n.watch.Do(ctx, commands, false, func() []driver.Reply { return n.doSingle(ctx, commands) })
	}
	return n.doSingle(ctx, commands)
}

func (n *Node) doSingle(ctx context.Context, commands []driver.Command) []driver.Reply {
	replies := n.sendSingle(ctx, commands)
	n.sweepFor(commands, replies)
	return replies
}

func (n *Node) sendSingle(ctx context.Context, commands []driver.Command) []driver.Reply {
	if len(commands) == 1 {
		// Three quarters of the allocations of a pipeline of one.
		c := newCommand(ctx, commands[0])
		err := n.single.Process(ctx, &c)
		return []driver.Reply{c.reply(err)}
	}
	sent, cmds := make([]command, len(commands)), make([]redis.Cmder, len(commands))
	for i := range commands {
		sent[i] = newCommand(ctx, commands[i])
		cmds[i] = &sent[i]
	}
	pipe := n.single.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...)
	_, err := pipe.Exec(ctx)
	replies := make([]driver.Reply, len(cmds))
	for i := range sent {
		replies[i] = sent[i].reply(err)
	}
	return replies
}

// doSeveral returns the replies of the shards that answer even if another shard
// does not.
func (n *Node) doSeveral(ctx context.Context, commands []driver.Command) []driver.Reply {
	if err := n.whole(); err != nil {
		return exchange.Fail(len(commands), err)
	}
	b := newBatch(ctx, commands)
	replies := exchange.Within(ctx,
		func() []driver.Reply {
			err := b.send(ctx, n.client)
			return b.replies(cmp.Or(err, exchange.ErrMissing), true)
		},
		func() []driver.Reply { return b.replies(ctx.Err(), false) })
	n.sweepFor(commands, replies)
	if err := n.whole(); err != nil { // a server may have gone down meanwhile
		return exchange.Fail(len(commands), err)
	}
	return replies
}
