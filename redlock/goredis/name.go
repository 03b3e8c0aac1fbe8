package goredis

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// sentinelAddr is what go-redis calls the address of every Sentinel client.
const sentinelAddr = "FailoverClient"

// name tells clients apart: redlock refuses two nodes of one name.
func name(client redis.UniversalClient) string {
	switch c := client.(type) {
	case *redis.Client:
		o := c.Options()
		if o.Addr == sentinelAddr {
			return database(fmt.Sprintf("sentinel(%p)", c), o.DB)
		}
		return database(o.Addr, o.DB)
	case *redis.ClusterClient:
		// A Sentinel group with routed reads, and a client that is told its
		// slots by a function, have no addresses.
		return cmp.Or(strings.Join(c.Options().Addrs, ","), fmt.Sprintf("cluster(%p)", c))
	case *redis.Ring:
		o := c.Options()
		addrs := strings.Join(slices.Sorted(maps.Values(o.Addrs)), ",")
		return database(cmp.Or(addrs, fmt.Sprintf("ring(%p)", c)), o.DB)
	}
	return fmt.Sprintf("%T(%p)", client, client)
}

func database(addr string, db int) string {
	if db == 0 {
		return addr
	}
	return fmt.Sprintf("%s/%d", addr, db)
}
