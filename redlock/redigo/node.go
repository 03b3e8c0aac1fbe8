package redigo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

var _ driver.Subscriber = (*Node)(nil)

// Pool provides a node's connections: a [*redis.Pool], or a wrapper. GetContext
// must be safe for concurrent use. The caller closes the connection.
//
// A pool may also have an IdleCount() int method, as *redis.Pool does. It tells
// the node how many connections to test or close after one went silent or led to
// a demoted server. Without it each of these fails a batch. If the pool has a
// String method, its result names the node.
type Pool interface {
	GetContext(ctx context.Context) (redis.Conn, error)
}

// Node is one Redis server behind a redigo pool. It is safe for concurrent
// use, as the pool is. It does not close the pool.
type Node struct {
	pool   Pool
	name   string
	watch  exchange.Watch
	tenure exchange.Tenure
}

// NewNode returns a node that uses pool. It does not connect. A nil pool is an
// error, and so is a *redis.Pool with neither Dial nor DialContext.
func NewNode(pool Pool) (*Node, error) {
	if exchange.IsNil(pool) {
		return nil, errors.New("redigo: the pool is nil; make a redis.Pool")
	}
	if p, ok := pool.(*redis.Pool); ok && p.Dial == nil && p.DialContext == nil {
		return nil, errors.New("redigo: the pool has neither Dial nor DialContext; set one of them")
	}
	n := &Node{pool: pool, name: exchange.Unnamed("redigo", pool)}
	if named, ok := pool.(fmt.Stringer); ok {
		n.name = named.String()
	}
	return n, nil
}

// Nodes returns one node for each pool, in order. A pool that NewNode rejects
// becomes a nil node, which redlock.New rejects with its position.
func Nodes[P Pool](pools ...P) []driver.Node {
	return exchange.Nodes(pools, func(pool P) (*Node, error) { return NewNode(pool) })
}

// String returns the result of the pool's String method, if it has one; otherwise
// a name that is the same for all nodes of one pool, and only for those.
func (n *Node) String() string { return n.name }

// Punctual reports true: Do returns by its context's deadline.
func (n *Node) Punctual() bool { return true }

// Do sends commands as one pipeline on one connection and returns a reply for
// each, in order. It returns by the context's deadline. A connection that did
// not answer by then is closed, and so is one to a server that refuses writes.
func (n *Node) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	replies := n.watch.Do(ctx, commands, n.idle() > 0 && lendsAtOnce(n.pool),
		func() []driver.Reply { return n.do(ctx, commands) })
	if send := exchange.IdleCommands(replies...); send != nil {
		exchange.Sweep(n.idle, func(ctx context.Context) { n.do(ctx, send) })
	}
	n.tenure.Note(replies)
	return replies
}

func (n *Node) idle() int {
	if counted, ok := n.pool.(interface{ IdleCount() int }); ok {
		return counted.IdleCount()
	}
	return 0
}

// lendsAtOnce reports whether the pool hands out an idle connection without using
// it first or dialing a new one instead.
func lendsAtOnce(pool Pool) bool {
	p, ok := pool.(*redis.Pool)
	return ok && p.TestOnBorrow == nil && p.TestOnBorrowContext == nil && p.MaxConnLifetime == 0
}

func (n *Node) do(ctx context.Context, commands []driver.Command) []driver.Reply {
	conn, err := n.pool.GetContext(ctx)
	if err != nil {
		if _, servers := err.(redis.Error); !servers {
			err = exchange.Own(err)
		}
		return exchange.Fail(len(commands), err)
	}
	defer conn.Close()
	// A pool's Dial takes no context, and may return long after this batch was
	// abandoned and later commands have overtaken it.
	if ctx.Err() != nil {
		return exchange.Fail(len(commands), ctx.Err())
	}
	if err := send(conn, commands); err != nil {
		return exchange.Fail(len(commands), exchange.Own(err))
	}
	replies := receiveAll(ctx, conn, len(commands))
	if exchange.Demoted(replies...) || slices.ContainsFunc(replies, turnedAway) {
		// The pool would keep it, because the server answered. After a read that times out
		// it does not.
		_, _ = redis.ReceiveWithTimeout(conn, time.Nanosecond)
	}
	return replies
}

func receiveAll(ctx context.Context, conn redis.Conn, count int) []driver.Reply {
	replies := make([]driver.Reply, count)
	for i := range replies {
		value, err := receive(ctx, conn)
		// Only conn.Err tells a broken connection from the server's error reply.
		if conn.Err() != nil {
			copy(replies[i:], exchange.Fail(count-i, exchange.Own(err)))
			break
		}
		replies[i] = driver.Reply{Value: exchange.Plain(value), Err: err}
	}
	return replies
}

func send(conn redis.Conn, commands []driver.Command) error {
	for _, c := range commands {
		if err := conn.Send(c[0].(string), c[1:]...); err != nil {
			return err
		}
	}
	return conn.Flush()
}

// turnedAway reports whether the server refused a new connection and closed it:
// because of maxclients or protected mode.
func turnedAway(r driver.Reply) bool {
	return r.Err != nil && (strings.HasPrefix(r.Err.Error(), "ERR max number of clients ") || strings.HasPrefix(r.Err.Error(), "DENIED "))
}

// receive does not use redis.ReceiveContext, which costs a goroutine for each
// reply.
func receive(ctx context.Context, conn redis.Conn) (any, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return conn.Receive()
	}
	// 0 would mean no limit. Replies that have arrived are still read.
	return redis.ReceiveWithTimeout(conn, max(time.Until(deadline), time.Microsecond))
}
