package redigo_test

import (
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redigo"
	"github.com/redtick/redtick/redlock/redlocktest"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// The conformance suite on a plain server, behind a password, and over TLS.
func TestNode_conformance(t *testing.T) {
	for name, start := range map[string]func(t testing.TB) *redis.Pool{
		"plain": func(t testing.TB) *redis.Pool { return pool(redisserver.Start(t).Addr()) },
		"password": func(t testing.TB) *redis.Pool {
			return pool(redisserver.Start(t, "--requirepass", "secret").Addr(), redis.DialPassword("secret"))
		},
		"tls": func(t testing.TB) *redis.Pool {
			s := redisserver.StartTLS(t)
			return pool(s.TLSAddr(), redis.DialUseTLS(true), redis.DialTLSConfig(s.TLSConfig()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			redlocktest.TestNode(t, func(t testing.TB) driver.Node { return newNode(t, start(t)) })
		})
	}
	t.Run("a pool of another kind", func(t *testing.T) {
		redlocktest.TestNode(t, func(t testing.TB) driver.Node {
			p := &lender{pool(redisserver.Start(t).Addr()), "lender"}
			t.Cleanup(func() { _ = p.pool.Close() })
			return redigo.Nodes(p)[0]
		})
	})
}
