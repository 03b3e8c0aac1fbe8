package redigo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock/internal/exchange"
)

// Pool is what a node takes its connections from: a [*redis.Pool], or a
// wrapper. GetContext must be safe for concurrent use, and the caller closes
// the connection.
//
// With a method IdleCount() int, which a *redis.Pool has, the node can tell how
// many connections to distrust once one of them went silent or leads to a
// demoted server. Without it every such connection costs a batch. A pool with
// a String method is named by it.
type Pool interface {
	GetContext(ctx context.Context) (redis.Conn, error)
}

func check(pool Pool) error {
	if exchange.IsNil(pool) {
		return errors.New("redigo: the pool is nil")
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

// lendsAtOnce reports whether a pool hands an idle connection out as it is. It may
// otherwise use it before, or dial in its place.
func lendsAtOnce(pool Pool) bool {
	p, ok := pool.(*redis.Pool)
	return ok && p.TestOnBorrow == nil && p.TestOnBorrowContext == nil && p.MaxConnLifetime == 0
}

// drop makes the pool discard conn when it is closed: the read that fails
// breaks it. Nothing else would, as the server answered.
func drop(conn redis.Conn) { _, _ = redis.ReceiveWithTimeout(conn, time.Nanosecond) }
