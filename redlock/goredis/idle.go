package goredis

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// testLimit is how long an idle connection has to answer a PING.
const testLimit = 500 * time.Millisecond

var (
	ping = []driver.Command{{"PING"}}
	// The PING meets a closed connection, so that go-redis drops it at once.
	quit = []driver.Command{{"QUIT"}, {"PING"}}
)

// punctual is a client on the same connections that keeps to its contexts'
// deadlines, which go-redis does not unless it is told to.
func punctual(client *redis.Client) *redis.Client {
	// Below zero go-redis sets no deadline on a connection at all.
	own := client.WithTimeout(max(client.Options().ReadTimeout, 0))
	own.Options().ContextTimeoutEnabled = true // in a copy of the client's options
	return own
}

// sweeper tests and closes idle connections, of one client at a time.
type sweeper struct {
	mu   sync.Mutex
	busy map[*redis.Client]bool
}

// test makes a pool's idle connections answer a PING, or be closed. One
// connection went silent; those of the same age may have, too, behind the same
// firewall, and each would cost a batch its time. While they are tested, the
// next Do gets a new connection.
//
// client is owner, or keeps to deadlines in its place.
func (s *sweeper) test(owner, client *redis.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	tested := s.each(ctx, owner, client, ping)
	exchange.Settle(func() bool { idle, piped := idle(client); return idle+piped == 0 })
	go func() {
		defer cancel()
		tested()
	}()
}

// leave closes a pool's connections, which lead to a server that takes no
// writes. go-redis itself closes one only if it is the first reply of a batch
// that says so.
func (s *sweeper) leave(ctx context.Context, client *redis.Client) {
	s.each(ctx, client, client, quit)()
}

// each sends commands on every idle connection at the same time, so that no two
// get the same one. The function that it returns waits for the end.
func (s *sweeper) each(ctx context.Context, owner, client *redis.Client, commands []driver.Command) (wait func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[owner] {
		return func() {}
	}
	if s.busy == nil {
		s.busy = map[*redis.Client]bool{}
	}
	s.busy[owner] = true
	var sent sync.WaitGroup
	idle, piped := idle(client)
	for range idle {
		sent.Go(func() {
			// A Conn shares its client's options without its lock, and a handshake writes them.
			conn := punctual(client).Conn()
			defer conn.Close()
			exec(ctx, conn.Pipeline(), commands)
		})
	}
	for range piped {
		sent.Go(func() { exec(ctx, client.Pipeline(), commands) })
	}
	return func() {
		sent.Wait()
		s.mu.Lock()
		delete(s.busy, owner)
		s.mu.Unlock()
	}
}

// idle is how many connections wait for single commands and for pipelines,
// which go-redis keeps apart since v9.22. Its PipelineStats is read by name, so
// that older versions, which have one pool, can be used as well.
func idle(client *redis.Client) (idle, piped uint32) {
	stats := client.PoolStats()
	if p := reflect.ValueOf(stats).Elem().FieldByName("PipelineStats"); p.IsValid() && !p.IsNil() {
		piped = uint32(p.Elem().FieldByName("IdleConns").Uint())
	}
	return stats.IdleConns, piped
}

func exec(ctx context.Context, pipe redis.Pipeliner, commands []driver.Command) {
	for _, c := range commands {
		_ = pipe.Process(ctx, newCommand(ctx, c))
	}
	_, _ = pipe.Exec(ctx)
}
