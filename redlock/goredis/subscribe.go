package goredis

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/internal/exchange"
)

var errReconnected = errors.New("goredis: the subscription was interrupted")

// Subscribe listens to channel on a separate connection until ctx ends or the
// connection is lost. It calls ready once the server has confirmed, then deliver
// for each message, and returns ctx.Err() or the connection's error. While it
// connects it may outlast ctx by the client's timeouts.
func (n *Node) Subscribe(ctx context.Context, channel string, ready func(), deliver func(message string)) error {
	ctx, end := n.tenure.Bound(ctx)
	defer end()
	pubsub, err := n.subscribe(ctx, channel)
	if err != nil {
		return err
	}
	defer pubsub.Close()
	// Not ctx itself: go-redis would mistake its deadline for a broken connection
	// and reconnect. Cancelled before Close, which waits for a dial.
	reads, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	alive, heard, stop := exchange.Pulse(ctx, func() { _ = pubsub.Ping(reads) })
	defer stop()
	defer context.AfterFunc(alive, func() {
		cancel()
		_ = pubsub.Close()
	})()
	limit := time.Duration(0)
	if n.single != nil {
		limit = min(n.single.Options().ReadTimeout, 0) // negative: connections do not support deadlines
	}
	err = listen(reads, pubsub, limit, heard, ready, deliver)
	return cmp.Or(context.Cause(alive), err)
}

// subscribe passes the channel to PubSub.Subscribe, which returns an error.
// Ring.Subscribe panics when no server is up, and Client.Subscribe drops the
// error.
func (n *Node) subscribe(ctx context.Context, channel string) (*redis.PubSub, error) {
	client := n.client
	if n.ring != nil {
		shard, err := n.ring.GetShardClientForKey(channel)
		if err != nil {
			return nil, err
		}
		client = shard
	}
	pubsub := client.Subscribe(ctx)
	if err := pubsub.Subscribe(ctx, channel); err != nil {
		_ = pubsub.Close()
		return nil, err
	}
	return pubsub, nil
}

// listen receives until the first error. It does not use PubSub.Channel, which
// reconnects silently and does not report missed messages.
func listen(ctx context.Context, pubsub *redis.PubSub, limit time.Duration, heard, ready func(), deliver func(message string)) error {
	confirmed := false
	for {
		received, err := pubsub.ReceiveTimeout(ctx, limit)
		if err != nil {
			return err
		}
		heard()
		switch m := received.(type) {
		case *redis.Subscription:
			// A second one means that go-redis moved to another connection.
			if confirmed {
				return errReconnected
			}
			confirmed = true
			ready()
		case *redis.Message:
			deliver(m.Payload)
		}
	}
}
