package redigo

import (
	"context"

	"github.com/gomodule/redigo/redis"
)

// Subscribe listens to channel until ctx ends or the connection is lost. It
// calls ready when the server has confirmed, then deliver for each message, and
// returns ctx.Err() or what the connection died of. It uses a connection of its
// own, which does not count against the pool's MaxActive.
func (n *Node) Subscribe(ctx context.Context, channel string, ready func(), deliver func(message string)) error {
	conn, err := n.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// A connection of the pool's must not be closed while it is read; this one
	// may, as redigo does it itself when a context ends.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	err = listen(redis.PubSubConn{Conn: conn}, channel, ready, deliver)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (n *Node) dial(ctx context.Context) (redis.Conn, error) {
	if n.pool.DialContext != nil {
		return n.pool.DialContext(ctx)
	}
	return n.pool.Dial()
}

func listen(conn redis.PubSubConn, channel string, ready func(), deliver func(message string)) error {
	if err := conn.Subscribe(channel); err != nil {
		return err
	}
	for {
		// Without a limit: the pool's read timeout is meant for replies, and a
		// channel may be silent for hours.
		switch m := conn.ReceiveWithTimeout(0).(type) {
		case error:
			return m
		case redis.Subscription:
			ready()
		case redis.Message:
			deliver(string(m.Data))
		}
	}
}
