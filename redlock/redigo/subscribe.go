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
// calls ready when the server has confirmed, then deliver for each message, and
// returns ctx.Err() or what the connection died of.
//
// A [*redis.Pool] dials a connection for it, which does not count against
// MaxActive. Any other pool lends one of its own for as long as Subscribe runs.
func (n *Node) Subscribe(ctx context.Context, channel string, ready func(), deliver func(message string)) error {
	conn, lent, err := n.dial(ctx)
	if err != nil {
		return err
	}
	sub := redis.PubSubConn{Conn: conn}
	if err := sub.Subscribe(channel); err != nil {
		conn.Close()
		return err
	}
	var use sync.Mutex // of the connection, but for reading
	alive, heard, stop := exchange.Pulse(ctx, func() {
		use.Lock()
		defer use.Unlock()
		_ = sub.Ping("")
	})
	defer stop()
	if lent {
		return listenLent(alive, &use, sub, heard, ready, deliver)
	}
	defer conn.Close()
	defer context.AfterFunc(alive, func() { _ = conn.Close() })()
	err = listen(sub, heard, ready, deliver)
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

// listenLent leaves the reading to a goroutine: a pool's connection must not
// be closed while it is read, but it may be written to. So the end of ctx
// unsubscribes, and a server that hangs keeps the connection, not the caller.
func listenLent(alive context.Context, use *sync.Mutex, sub redis.PubSubConn, heard, ready func(), deliver func(message string)) error {
	ended := make(chan error, 1)
	go func() {
		defer func() {
			use.Lock()
			defer use.Unlock()
			sub.Close()
		}()
		ended <- listen(sub, heard, ready, func(message string) {
			if alive.Err() == nil {
				deliver(message)
			}
		})
	}()
	select {
	case err := <-ended:
		return err
	case <-alive.Done():
		use.Lock()
		defer use.Unlock()
		_ = sub.Unsubscribe()
		return context.Cause(alive)
	}
}

func listen(conn redis.PubSubConn, heard, ready func(), deliver func(message string)) error {
	for {
		// Without a limit: the pool's read timeout is meant for replies, and a
		// channel may be silent for hours.
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
