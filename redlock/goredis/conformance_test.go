package goredis_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// The conformance suite on a plain server, in RESP2, behind a password, and over TLS.
func TestNode_conformance(t *testing.T) {
	for name, start := range map[string]func(t testing.TB) *redis.Options{
		"plain": func(t testing.TB) *redis.Options { return &redis.Options{Addr: redisserver.Start(t).Addr()} },
		"password": func(t testing.TB) *redis.Options {
			return &redis.Options{Addr: redisserver.Start(t, "--requirepass", "secret").Addr(), Password: "secret"}
		},
		"resp2": func(t testing.TB) *redis.Options {
			return &redis.Options{Addr: redisserver.Start(t).Addr(), Protocol: 2}
		},
		"tls": func(t testing.TB) *redis.Options {
			s := redisserver.StartTLS(t)
			return &redis.Options{Addr: s.TLSAddr(), TLSConfig: s.TLSConfig()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			redlocktest.TestNode(t, func(t testing.TB) driver.Node { return newNode(t, start(t)) })
		})
	}
}
