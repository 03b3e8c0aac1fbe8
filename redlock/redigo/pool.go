package redigo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock/internal/exchange"
)

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

func check(pool Pool) error {
	if exchange.IsNil(pool) {
		return errors.New("redigo: the pool is nil; make a redis.Pool")
	}
	if p, ok := pool.(*redis.Pool); ok && p.Dial == nil && p.DialContext == nil {
		return errors.New("redigo: the pool has neither Dial nor DialContext; set one of them")
	}
	return nil
}

func name(pool Pool) string {
	if named, ok := pool.(fmt.Stringer); ok {
		return named.String()
	}
	return exchange.Unnamed("redigo", pool)
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

// drop makes the pool discard conn on Close, by a read that times out. The pool
// would keep it otherwise, because the server answered.
func drop(conn redis.Conn) { _, _ = redis.ReceiveWithTimeout(conn, time.Nanosecond) }
