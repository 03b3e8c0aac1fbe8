package rueidis

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

var _ driver.Subscriber = (*Node)(nil)
var _ driver.Cluster = (*Node)(nil)

// Node is one Redis or Valkey deployment behind a rueidis client. It is safe
// for concurrent use, as the client is. It does not close the client.
type Node struct {
	client rueidis.Client
	name   string
	watch  exchange.Watch
	tenure exchange.Tenure
	// idle estimates how many of the node's connections are idle in the client's pool,
	// which does not expose that.
	idle   atomic.Int64
	closed atomic.Bool // of a server in a Cluster: the client has dropped it

	shards  *exchange.Shards // nil unless a Cluster
	cluster cluster
}

// defaultLimit is for contexts without a deadline: rueidis' own default, which it
// does not apply to blocking commands.
const defaultLimit = 10 * time.Second

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
		n.shards = exchange.NewShards(exchange.Cluster{Owner: n.owner, Redirect: n.redirect, Reload: n.reload})
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
	replies := n.watch.Do(ctx, commands, n.idle.Load() > 0, func() []driver.Reply { return n.do(ctx, commands) })
	if send := exchange.IdleCommands(replies...); send != nil {
		exchange.Sweep(func() int { return int(n.idle.Load()) }, func(ctx context.Context) { n.do(ctx, send) })
	}
	n.tenure.Note(replies)
	return replies
}

func (n *Node) do(ctx context.Context, commands []driver.Command) []driver.Reply {
	if _, ok := ctx.Deadline(); !ok {
		longer, cancel := context.WithTimeout(ctx, defaultLimit)
		defer cancel()
		ctx = longer
	}
	batch := make(rueidis.Commands, len(commands))
	for i, c := range commands {
		batch[i] = n.exclusive(c)
	}
	for idle := n.idle.Load(); idle > 0 && !n.idle.CompareAndSwap(idle, idle-1); idle = n.idle.Load() {
	}
	results := n.client.DoMulti(ctx, batch...)
	replies := translate(results, len(commands))
	if exchange.AllAnswered(replies) {
		n.idle.Add(1)
	}
	if len(results) > 0 && errors.Is(results[0].NonRedisError(), rueidis.ErrClosing) {
		n.closed.Store(true)
	}
	return replies
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

// exclusive marks a command as blocking, so that rueidis sends it on an exclusive
// connection and closes that at the deadline. A shared connection would be kept until the
// client's own PING has gone unanswered for ten seconds. Keys are plain arguments: by
// those of Arbitrary.Keys, a client of one server would pick one of its four connections.
func (n *Node) exclusive(c driver.Command) rueidis.Completed {
	all := make([]string, len(c))
	for i, element := range c {
		all[i] = element.(string)
	}
	return n.client.B().Arbitrary(all...).Blocking()
}
