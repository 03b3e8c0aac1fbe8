package goredis

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/internal/exchange"
)

// sentinelAddr is the address that go-redis reports for every Sentinel client.
const sentinelAddr = "FailoverClient"

// name returns a name that tells clients apart: redlock rejects two nodes of one
// name.
func name(client redis.UniversalClient) string {
	switch c := client.(type) {
	case interface{ Options() *redis.Options }:
		o := c.Options()
		if o.Addr == sentinelAddr {
			return database(exchange.Unnamed("sentinel", client), o.DB)
		}
		return database(o.Addr, o.DB)
	case interface{ Options() *redis.ClusterOptions }:
		// A Sentinel group with routed reads, and a client with a ClusterSlots
		// function, have no addresses.
		return cmp.Or(strings.Join(c.Options().Addrs, ","), exchange.Unnamed("cluster", client))
	case ring:
		o := c.Options()
		addrs := strings.Join(slices.Sorted(maps.Values(o.Addrs)), ",")
		return database(cmp.Or(addrs, exchange.Unnamed("ring", client)), o.DB)
	}
	return exchange.Unnamed("goredis", client)
}

func database(addr string, db int) string {
	if db == 0 {
		return addr
	}
	return fmt.Sprintf("%s/%d", addr, db)
}
