package redigo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock/driver"
)

var (
	_ driver.Node       = (*Node)(nil)
	_ driver.Subscriber = (*Node)(nil)
)

// Node is one Redis server behind a redigo pool. It is safe for concurrent
// use, as the pool is. It does not close the pool.
type Node struct {
	pool *redis.Pool
}

// NewNode makes a node of pool. It does not connect. A nil pool is an error,
// and so is one with neither Dial nor DialContext.
func NewNode(pool *redis.Pool) (*Node, error) {
	switch {
	case pool == nil:
		return nil, errors.New("redigo: the pool is nil")
	case pool.Dial == nil && pool.DialContext == nil:
		return nil, errors.New("redigo: the pool has neither Dial nor DialContext")
	}
	return &Node{pool: pool}, nil
}

// Nodes makes one node of each pool, in order. A pool that NewNode refuses
// becomes a nil node, which redlock.New refuses with its position.
func Nodes(pools ...*redis.Pool) []driver.Node {
	nodes := make([]driver.Node, len(pools))
	for i, pool := range pools {
		if node, err := NewNode(pool); err == nil {
			nodes[i] = node
		}
	}
	return nodes
}

// String is the same for two nodes of one pool, and only for those.
func (n *Node) String() string { return fmt.Sprintf("redigo(%p)", n.pool) }

// Do sends commands as one pipeline on one connection and returns a reply for
// each, in order. It waits for a reply until the context's deadline, or for as
// long as the pool's connections do without one.
func (n *Node) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	replies := make([]driver.Reply, len(commands))
	conn, err := n.pool.GetContext(ctx)
	if err != nil {
		return fail(replies, err)
	}
	defer conn.Close()
	if err := send(conn, commands); err != nil {
		return fail(replies, err)
	}
	for i := range replies {
		value, err := receive(ctx, conn)
		// Only this tells the server's error from a broken connection.
		if conn.Err() != nil {
			fail(replies[i:], err)
			break
		}
		replies[i] = driver.Reply{Value: plain(value), Err: err}
	}
	return replies
}

func fail(replies []driver.Reply, err error) []driver.Reply {
	for i := range replies {
		replies[i].Err = err
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

// receive does not use redis.ReceiveContext, which costs a goroutine for each
// reply.
func receive(ctx context.Context, conn redis.Conn) (any, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return conn.Receive()
	}
	// 0 would mean no limit. What has arrived already is read even so.
	return redis.ReceiveWithTimeout(conn, max(time.Until(deadline), time.Microsecond))
}

// plain makes strings of redigo's byte slices.
func plain(value any) any {
	switch v := value.(type) {
	case []byte:
		return string(v)
	case redis.Error:
		return string(v)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return value
}
