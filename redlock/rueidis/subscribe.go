package rueidis

import (
	"context"
	"errors"

	"github.com/redis/rueidis"
)

var errClosed = errors.New("rueidis: the subscription was closed")

// Subscribe listens to channel until ctx ends or the connection is lost, on a
// connection of its own. It calls ready when the server has confirmed, then
// deliver for each message, and returns ctx.Err() or what the connection died
// of.
func (n *Node) Subscribe(ctx context.Context, channel string, ready func(), deliver func(message string)) error {
	// Client.Receive would mend a broken connection by itself, and say nothing
	// of the messages that it missed. A dedicated one ends with its connection.
	client, _ := n.client.Dedicate()
	// Closed, not released: rueidis would hand it to the next Do, still in the
	// state in which it shares. Beside the caller, since it waits for a server
	// that may hang.
	defer func() { go client.Close() }()
	// Under RESP2 a dedicated one asks again as well, on a connection inside it that is dead for good, unless its context is over.
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
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		return errClosed
	}
	return err
}
