package rueidis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// distrustFor is how long the client's own PING may take to find out that a
// connection is dead: every second it is sent, and waits for ten.
const distrustFor = 12 * time.Second

// doCluster sends a pipeline on the client's shared connections, unless one of
// them lately left a command unanswered: it may be dead, and be kept.
//
// Pipelines of blocking commands, which get connections of their own, make
// rueidis panic when a slot migrates: it fails to recognise its own ASKING.
func (n *Node) doCluster(ctx context.Context, commands []driver.Command) []driver.Reply {
	if time.Now().UnixNano() < n.distrusted.Load() {
		return n.doApart(ctx, commands)
	}
	batch := make(rueidis.Commands, len(commands))
	for i, c := range commands {
		// Commands without a key are routed, too: rueidis panics over a batch that
		// has commands without a slot and commands of different slots.
		batch[i] = n.build(c).SetSlot(exchange.Key(c))
	}
	replies := translate(n.client.DoMulti(ctx, batch...), len(commands))
	if silent := unanswered(commands, replies); silent != nil {
		n.distrusted.Store(time.Now().Add(distrustFor).UnixNano())
		n.sweep(func(ctx context.Context) {
			var all sync.WaitGroup
			for _, key := range silent {
				all.Go(func() { n.client.Do(ctx, n.buildAlone(ping[0]).SetSlot(key)) })
			}
			all.Wait()
		})
	}
	return replies
}

// doApart sends single commands on connections that nobody shares: in order
// for each hash tag, and tags beside each other.
func (n *Node) doApart(ctx context.Context, commands []driver.Command) []driver.Reply {
	replies := make([]driver.Reply, len(commands))
	byTag := map[string][]int{}
	for i, c := range commands {
		tag := exchange.Tag(exchange.Key(c))
		byTag[tag] = append(byTag[tag], i)
	}
	var busy sync.WaitGroup
	for _, indices := range byTag {
		busy.Go(func() {
			n.conns.take()
			answered := true
			for _, i := range indices {
				c := commands[i]
				replies[i] = reply(n.client.Do(ctx, n.buildAlone(c).SetSlot(exchange.Key(c))))
				answered = answered && exchange.Answered(replies[i].Err)
			}
			n.conns.put(answered)
		})
	}
	busy.Wait()
	return replies
}

// unanswered is one key of each hash tag that was.
func unanswered(commands []driver.Command, replies []driver.Reply) (keys []string) {
	seen := map[string]bool{}
	for i := range replies {
		key := exchange.Key(commands[i])
		if tag := exchange.Tag(key); !exchange.Answered(replies[i].Err) && !seen[tag] {
			seen[tag] = true
			keys = append(keys, key)
		}
	}
	return keys
}
