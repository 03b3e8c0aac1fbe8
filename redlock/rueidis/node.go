package rueidis

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

var (
	_ driver.Node       = (*Node)(nil)
	_ driver.Subscriber = (*Node)(nil)
	_ driver.Cluster    = (*Node)(nil)
)

// Node is one Redis or Valkey deployment behind a rueidis client. It is safe
// for concurrent use, as the client is. It does not close the client.
type Node struct {
	client rueidis.Client
	name   string
	shards *exchange.Shards // nil unless a Cluster
	conns  connections
	watch  exchange.Watch
	trust  trust // used for a Cluster
}

// NewNode returns a node that uses client. It sends nothing. A nil client is an
// error.
func NewNode(client rueidis.Client) (*Node, error) {
	if exchange.IsNil(client) {
		return nil, errors.New("rueidis: the client is nil; make one with rueidis.NewClient")
	}
	n := &Node{
		client: client,
		name:   cmp.Or(strings.Join(slices.Sorted(maps.Keys(client.Nodes())), ","), exchange.Unnamed("rueidis", client)),
	}
	if client.Mode() == rueidis.ClientModeCluster {
		n.shards = exchange.NewShards(n.doWithin)
	}
	return n, nil
}

// Nodes returns one node for each client, in order. A nil client becomes a nil
// node, which redlock.New rejects with its position.
func Nodes(clients ...rueidis.Client) []driver.Node {
	return exchange.Nodes(clients, NewNode)
}

// String returns the server's address as the client knew it when the node was
// created. Several addresses, of a Cluster, are joined by commas. It contains
// neither a password nor the database number.
func (n *Node) String() string { return n.name }

// Punctual reports whether Do meets its deadline without a watching goroutine, as
// it does for one server or a Sentinel group.
func (n *Node) Punctual() bool { return n.shards == nil }

// Do sends commands as one pipeline and returns a reply for each, in order. It
// returns by the context's deadline. A connection that did not answer by then
// is closed, and so is one to a server that refuses writes.
func (n *Node) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	if n.shards != nil {
		return n.shards.Do(ctx, commands)
	}
	replies := n.doSingle(ctx, commands)
	if send := exchange.IdleCommands(replies...); send != nil {
		n.sweep(func(ctx context.Context) { n.do(ctx, send) })
	}
	return replies
}

func (n *Node) doWithin(ctx context.Context, commands []driver.Command) []driver.Reply {
	return exchange.Within(ctx, func() []driver.Reply {
		ctx, cancel := newPunctual(ctx)
		defer cancel()
		return n.doCluster(ctx, commands)
	}, func() []driver.Reply { return exchange.Fail(len(commands), ctx.Err()) })
}

func (n *Node) doSingle(ctx context.Context, commands []driver.Command) []driver.Reply {
	return n.watch.Do(ctx, commands, n.conns.idle() > 0, func() []driver.Reply {
		n.conns.take()
		replies := n.do(ctx, commands)
		n.conns.put(exchange.AllAnswered(replies))
		return replies
	})
}

func (n *Node) do(ctx context.Context, commands []driver.Command) []driver.Reply {
	if _, ok := ctx.Deadline(); !ok {
		longer, cancel := context.WithTimeout(ctx, defaultLimit)
		defer cancel()
		ctx = longer
	}
	batch := make(rueidis.Commands, len(commands))
	for i, c := range commands {
		batch[i] = n.buildExclusive(c)
	}
	return translate(n.client.DoMulti(ctx, batch...), len(commands))
}

// translate converts results to replies. It does not fill in missing ones with
// zero replies: a null is a granted vote. The core reports those that are missing.
func translate(results []rueidis.RedisResult, wanted int) []driver.Reply {
	replies := make([]driver.Reply, min(len(results), wanted))
	for i := range replies {
		replies[i] = reply(results[i])
	}
	return replies
}

// build adds keys as plain arguments. If they were marked with Arbitrary.Keys, a
// client of one server would pick one of its four connections at random, and a
// batch could overtake the one before it.
func (n *Node) build(c driver.Command) rueidis.Completed {
	return n.client.B().Arbitrary(stringsOf(c)...).Build()
}

// buildExclusive marks a command as blocking, so that rueidis sends it on an
// exclusive connection and closes that at the deadline. A shared connection would
// be kept until the client's own PING has gone unanswered for ten seconds.
func (n *Node) buildExclusive(c driver.Command) rueidis.Completed {
	return n.client.B().Arbitrary(stringsOf(c)...).Blocking()
}

func stringsOf(c driver.Command) []string {
	all := make([]string, len(c))
	for i, element := range c {
		all[i] = element.(string)
	}
	return all
}
