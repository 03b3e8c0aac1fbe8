package goredis

import (
	"context"
	"reflect"

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

// sweep sends commands on every idle connection. go-redis itself closes only the
// connection it used, and only if the first reply of a batch refuses.
func (n *Node) sweep(commands []driver.Command) {
	client := n.client
	if n.single != nil {
		own := punctual(n.single)
		client = own
		exchange.Sweep(func() int { single, _ := idle(own); return single }, func(ctx context.Context) {
			// A copy for each Conn: a handshake writes the client's options without a lock.
			conn := punctual(own).Conn()
			defer conn.Close()
			n.exec(ctx, conn.Pipeline(), commands)
		})
	}
	exchange.Sweep(func() int { _, piped := idle(client); return piped }, func(ctx context.Context) {
		n.exec(ctx, client.Pipeline(), commands)
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
