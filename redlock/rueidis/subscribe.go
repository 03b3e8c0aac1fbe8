package rueidis

import (
	"cmp"
	"context"
	"errors"

	"github.com/redis/rueidis"
)

var errClosed = errors.New("rueidis: the subscription was closed")

// Subscribe listens to channel on a separate connection until ctx ends or the
// connection is lost. It calls ready once the server has confirmed, then deliver
// for each message, and returns ctx.Err() or the connection's error.
func (n *Node) Subscribe(ctx context.Context, channel string, ready func(), deliver func(message string)) error {
	ctx, end := n.tenure.Bound(ctx)
	defer end()
	// Client.Receive would reconnect silently and not report missed messages. A
	// dedicated client ends with its connection.
	client, _ := n.client.Dedicate()
	// Close, not release: rueidis would hand the connection to the next Do while it
	// is still in its shared, pipelining state. In a goroutine, because Close waits
	// for a server that may hang.
	defer func() { go client.Close() }()
	// Under RESP2 a dedicated client retries on its dead connection until its context ends.
	listening, stop := context.WithCancel(ctx)
	defer stop()
	listening = rueidis.WithOnReceiveReturnHook(listening, func(err error, _ rueidis.CommandClient) error {
		stop()
		return err
	})
	confirmed := rueidis.WithOnSubscriptionHook(listening, func(s rueidis.PubSubSubscription) {
		if s.Kind == "subscribe" {
			ready()
		}
	})
	subscribe := client.B().Subscribe().Channel(channel).Build()
	err := client.Receive(confirmed, subscribe, func(m rueidis.PubSubMessage) { deliver(m.Message) })
	return cmp.Or(context.Cause(ctx), err, errClosed)
}
