package redigo_test

import (
	"context"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/drivertest"
	"github.com/redtick/redtick/redlock/redigo"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

func TestNode_Subscribe(t *testing.T) {
	drivertest.TestSubscriber(t, func(t testing.TB, addr string) driver.Node { return newNode(t, pool(addr)) })
}

// A pool that is no *redis.Pool lends one of its connections.
func TestNode_Subscribe_lent(t *testing.T) {
	drivertest.TestSubscriber(t, func(t testing.TB, addr string) driver.Node {
		p := &lender{pool: pool(addr)}
		t.Cleanup(func() { _ = p.pool.Close() })
		return redigo.Nodes(p)[0]
	})
}

// The read timeout of a pool's connections is for replies.
func TestNode_Subscribe_outlastsReadTimeout(t *testing.T) {
	for name, node := range map[string]func(p *redis.Pool) driver.Node{
		"dialled": func(p *redis.Pool) driver.Node { return newNode(t, p) },
		"lent":    func(p *redis.Pool) driver.Node { return redigo.Nodes(&lender{pool: p})[0] },
	} {
		t.Run(name, func(t *testing.T) {
			server := redisserver.Start(t)
			ready, messages := make(chan struct{}, 1), make(chan string, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			go func() {
				_ = node(pool(server.Addr(), redis.DialReadTimeout(20*time.Millisecond))).(driver.Subscriber).Subscribe(ctx, "c",
					func() { ready <- struct{}{} }, func(message string) { messages <- message })
			}()
			select {
			case <-ready:
			case <-ctx.Done():
				t.Fatal("no subscription")
			}
			time.Sleep(60 * time.Millisecond)
			if _, err := server.Do("PUBLISH", "c", "m"); err != nil {
				t.Fatal(err)
			}
			select {
			case <-messages:
			case <-ctx.Done():
				t.Error("no message after a pause longer than the read timeout")
			}
		})
	}
}
