package rueidis_test

import (
	"testing"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// The conformance suite on a plain server, in RESP2, behind a password, and over TLS.
func TestNode_conformance(t *testing.T) {
	for name, start := range map[string]func(t testing.TB) rueidis.ClientOption{
		"plain": func(t testing.TB) rueidis.ClientOption {
			return rueidis.ClientOption{InitAddress: []string{redisserver.Start(t).Addr()}}
		},
		"password": func(t testing.TB) rueidis.ClientOption {
			return rueidis.ClientOption{InitAddress: []string{redisserver.Start(t, "--requirepass", "secret").Addr()}, Password: "secret"}
		},
		"resp2": func(t testing.TB) rueidis.ClientOption {
			return rueidis.ClientOption{InitAddress: []string{redisserver.Start(t).Addr()}, AlwaysRESP2: true, DisableCache: true}
		},
		"tls": func(t testing.TB) rueidis.ClientOption {
			s := redisserver.StartTLS(t)
			return rueidis.ClientOption{InitAddress: []string{s.TLSAddr()}, TLSConfig: s.TLSConfig()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			redlocktest.TestNode(t, func(t testing.TB) driver.Node { return newNode(t, start(t)) })
		})
	}
}
