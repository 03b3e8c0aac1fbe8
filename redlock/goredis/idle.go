package goredis

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// punctual returns a client on the same connections that respects context
// deadlines, which go-redis does only with ContextTimeoutEnabled.
func punctual(client *redis.Client) *redis.Client {
	// With a negative ReadTimeout go-redis sets no deadline on a connection.
	own := client.WithTimeout(max(client.Options().ReadTimeout, 0))
	own.Options().ContextTimeoutEnabled = true // in a copy of the client's options
	return own
}

// sweepFor closes the idle connections to servers that refuse writes, and tests
// those to servers that left a command unanswered. go-redis itself closes only the
// connection it used, and only if the first reply of a batch refuses.
func (n *Node) sweepFor(commands []driver.Command, replies []driver.Reply) {
	if exchange.IdleCommands(replies...) == nil {
		return
	}
	n.layout.reload()
	commands, replies = slices.Clone(commands), slices.Clone(replies) // the sweep may outlast this call
	ctx, cancel := context.WithTimeout(context.Background(), exchange.SweepLimit)
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		defer cancel()
		seen := map[*redis.Client]bool{} // nil stands for a wrapper, which may not be comparable
		for i, r := range replies {
			send := exchange.IdleCommands(r)
			if send == nil {
				continue
			}
			owner, err := n.owner(ctx, exchange.Key(commands[i]))
			if c, _ := owner.(*redis.Client); err == nil && !seen[c] {
				seen[c] = true
				sweep(owner, send)
			}
		}
	}()
	select {
	case <-swept:
	case <-time.After(2 * exchange.SettleLimit):
	}
}

// owner returns the client of the server that has key. A Cluster client may have
// to load its layout first.
func (n *Node) owner(ctx context.Context, key string) (redis.UniversalClient, error) {
	switch {
	case n.cluster != nil:
		return n.cluster.MasterForKey(ctx, key)
	case n.ring != nil:
		return n.ring.GetShardClientForKey(key)
	}
	return n.client, nil
}

// sweep sends commands on every idle connection of a client.
func sweep(client redis.UniversalClient, commands []driver.Command) {
	if c, ok := client.(*redis.Client); ok {
		client = punctual(c)
		exchange.Sweep(func() int { single, _ := idle(c); return single }, func(ctx context.Context) {
			// A copy for each Conn: a handshake writes the client's options without a lock.
			conn := punctual(c).Conn()
			defer conn.Close()
			exec(ctx, conn.Pipeline(), commands)
		})
	}
	exchange.Sweep(func() int { _, piped := idle(client); return piped }, func(ctx context.Context) {
		exec(ctx, client.Pipeline(), commands)
	})
}

// idle returns the number of idle connections for single commands only, and for
// pipelines. go-redis has separate pools since v9.22. PipelineStats is read by
// reflection, so that older versions, which have one pool, work as well.
func idle(client redis.UniversalClient) (single, piped int) {
	stats := client.PoolStats()
	if p := reflect.ValueOf(stats).Elem().FieldByName("PipelineStats"); p.IsValid() && !p.IsNil() {
		return int(stats.IdleConns), int(p.Elem().FieldByName("IdleConns").Uint())
	}
	return 0, int(stats.IdleConns)
}

func exec(ctx context.Context, pipe redis.Pipeliner, commands []driver.Command) {
	for _, c := range commands {
		c := newCommand(ctx, c)
		_ = pipe.Process(ctx, &c)
	}
	_, _ = pipe.Exec(ctx)
}
