package redigo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
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

// testLimit is how long an idle connection has to answer a PING.
const testLimit = 500 * time.Millisecond

func check(pool Pool) error {
	if v := reflect.ValueOf(pool); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
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
	if reflect.ValueOf(pool).Kind() == reflect.Pointer {
		return fmt.Sprintf("redigo(%p)", pool)
	}
	return fmt.Sprintf("redigo(%T)", pool)
}

func (n *Node) idle() int {
	if counted, ok := n.pool.(interface{ IdleCount() int }); ok {
		return counted.IdleCount()
	}
	return 0
}

// tests reports whether a pool may use an idle connection before it lends it.
func tests(pool Pool) bool {
	p, ok := pool.(*redis.Pool)
	return !ok || p.TestOnBorrow != nil || p.TestOnBorrowContext != nil
}

// drop makes the pool discard conn when it is closed: the read that fails
// breaks it. Nothing else would, as the server answered.
func drop(conn redis.Conn) { _, _ = redis.ReceiveWithTimeout(conn, time.Nanosecond) }

// leave closes the pool's idle connections, which lead to a server that takes
// no writes.
func (n *Node) leave(ctx context.Context) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		for range n.idle() {
			conn, err := n.pool.GetContext(ctx)
			if err != nil {
				return
			}
			drop(conn)
			conn.Close()
		}
	}()
	select {
	case <-left:
	case <-ctx.Done():
	}
}

// testIdle makes the pool's idle connections answer a PING, or be closed. One
// connection went silent; those of the same age may have, too, behind the same
// firewall, and each would cost a batch its time. While they are tested, the
// next Do gets a new connection.
func (n *Node) testIdle() {
	if !n.testing.CompareAndSwap(false, true) {
		return
	}
	var busy sync.WaitGroup
	for range n.idle() {
		busy.Go(func() { ping(n.pool) })
	}
	go func() {
		busy.Wait()
		n.testing.Store(false)
	}()
	exchange.Settle(func() bool { return n.idle() == 0 })
}

func ping(pool Pool) {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	conn, err := pool.GetContext(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = redis.DoWithTimeout(conn, testLimit, "PING")
}
