package redigo

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock/internal/exchange"
)

var errUnsubscribed = errors.New("redigo: the server ended the subscription")

// Subscribe listens to channel until ctx ends or the connection is lost. It
// calls ready once the server has confirmed, then deliver for each message, and
// returns ctx.Err() or the connection's error.
//
// With a [*redis.Pool] it dials a new connection, which does not count against
// MaxActive. With any other pool it holds one of the pool's connections while it
// runs.
func (n *Node) Subscribe(ctx context.Context, channel string, ready func(), deliver func(message string)) error {
	ctx, end := n.tenure.Bound(ctx)
	defer end()
	conn, lent, err := n.dial(ctx)
	if err != nil {
		return err
	}
	sub := redis.PubSubConn{Conn: conn}
	if err := sub.Subscribe(channel); err != nil {
		conn.Close()
		return err
	}
	var use sync.Mutex // guards writes to a lent connection and its Close
	alive, heard, stop := exchange.Pulse(ctx, func() {
		use.Lock()
		defer use.Unlock()
		_ = sub.Ping("")
	})
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- listen(sub, heard, ready, func(message string) {
			if alive.Err() == nil {
				deliver(message)
			}
		})
		use.Lock()
		defer use.Unlock()
		conn.Close()
	}()
	select {
	case err = <-ended:
	case <-alive.Done():
		if lent {
			// A pool's connection must not be closed while it is being read. A server that
			// hangs blocks the goroutine, not the caller.
			use.Lock()
			defer use.Unlock()
			_ = sub.Unsubscribe()
		} else {
			_ = conn.Close()
			err = <-ended
		}
	}
	return cmp.Or(context.Cause(alive), err)
}

func (n *Node) dial(ctx context.Context) (conn redis.Conn, lent bool, err error) {
	pool, ok := n.pool.(*redis.Pool)
	switch {
	case !ok:
		conn, err = n.pool.GetContext(ctx)
	case pool.DialContext != nil:
		conn, err = pool.DialContext(ctx)
	default:
		conn, err = pool.Dial()
	}
	return conn, !ok, err
}

func listen(conn redis.PubSubConn, heard, ready func(), deliver func(message string)) error {
	for {
		// No timeout: the pool's read timeout is for replies, but a channel may be
		// silent for hours.
		received := conn.ReceiveWithTimeout(0)
		heard()
		switch m := received.(type) {
		case error:
			return m
		case redis.Subscription:
			if m.Count == 0 {
				return errUnsubscribed
			}
			ready()
		case redis.Message:
			deliver(string(m.Data))
		}
	}
}
