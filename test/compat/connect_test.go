//go:build unix

package compat_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	redigolib "github.com/gomodule/redigo/redis"
	goredislib "github.com/redis/go-redis/v9"
	rueidislib "github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redigo"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
	"github.com/redtick/redtick/redlock/rueidis"
)

// connector returns a node of a client with default options.
type connector = func(t testing.TB) driver.Node

func single(addr string) map[string]connector {
	return map[string]connector{
		"go-redis": func(t testing.TB) driver.Node {
			return goredisNode(t, goredislib.NewClient(&goredislib.Options{Addr: addr}))
		},
		"redigo": func(t testing.TB) driver.Node {
			return redigoNode(t, func(ctx context.Context) (redigolib.Conn, error) {
				return redigolib.DialContext(ctx, "tcp", addr)
			})
		},
		"rueidis": func(t testing.TB) driver.Node {
			return rueidisNode(t, rueidislib.ClientOption{InitAddress: []string{addr}})
		},
	}
}

func sentinel(g *redisserver.Sentinel) map[string]connector {
	return map[string]connector{
		"go-redis": func(t testing.TB) driver.Node {
			return goredisNode(t, goredislib.NewFailoverClient(&goredislib.FailoverOptions{
				MasterName: redisserver.SentinelMaster, SentinelAddrs: g.Addrs(),
			}))
		},
		"redigo": func(t testing.TB) driver.Node {
			return redigoNode(t, func(ctx context.Context) (redigolib.Conn, error) {
				return dialMaster(ctx, g.Addrs(), redisserver.SentinelMaster)
			})
		},
		"rueidis": func(t testing.TB) driver.Node {
			return rueidisNode(t, rueidislib.ClientOption{
				InitAddress: g.Addrs(), Sentinel: rueidislib.SentinelOption{MasterSet: redisserver.SentinelMaster},
			})
		},
	}
}

func sharded(c *redisserver.Shards) map[string]connector {
	return map[string]connector{
		"go-redis": func(t testing.TB) driver.Node {
			return goredisNode(t, goredislib.NewClusterClient(&goredislib.ClusterOptions{Addrs: c.Addrs()}))
		},
		"rueidis": func(t testing.TB) driver.Node {
			return rueidisNode(t, rueidislib.ClientOption{InitAddress: c.Addrs()})
		},
	}
}

// plain is the baseline: go-redis alone, with SET NX for each tick.
const plain = "go-redis without redtick"

func plainSingle(addr string) replica {
	return onGoRedis(func() goredislib.UniversalClient { return goredislib.NewClient(&goredislib.Options{Addr: addr}) })
}

func plainSentinel(g *redisserver.Sentinel) replica {
	return onGoRedis(func() goredislib.UniversalClient {
		return goredislib.NewFailoverClient(&goredislib.FailoverOptions{MasterName: redisserver.SentinelMaster, SentinelAddrs: g.Addrs()})
	})
}

func plainSharded(c *redisserver.Shards) replica {
	return onGoRedis(func() goredislib.UniversalClient {
		return goredislib.NewClusterClient(&goredislib.ClusterOptions{Addrs: c.Addrs()})
	})
}

func onGoRedis(connect func() goredislib.UniversalClient) replica {
	return func(t testing.TB, client string) map[string]claimer {
		rdb := connect()
		t.Cleanup(func() { _ = rdb.Close() })
		claimers := map[string]claimer{}
		for _, name := range jobs {
			claimers[name] = func(ctx context.Context, tick time.Time) (func(), error) {
				ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
				defer cancel()
				ok, err := rdb.SetNX(ctx, fmt.Sprintf("plain:%s:%d", name, tick.Unix()), "1", time.Minute).Result()
				if err == nil && !ok {
					err = errors.New("taken")
				}
				return func() {}, err
			}
		}
		return claimers
	}
}

// dialMaster is the DialContext of docs/compatibility.md, which asks a Sentinel because
// redigo does not support them.
func dialMaster(ctx context.Context, sentinels []string, master string) (redigolib.Conn, error) {
	var failed error
	for _, addr := range sentinels {
		s, err := redigolib.DialContext(ctx, "tcp", addr, redigolib.DialConnectTimeout(time.Second), redigolib.DialReadTimeout(time.Second))
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		parts, err := redigolib.Strings(s.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master))
		s.Close()
		if err == nil && len(parts) == 2 {
			return redigolib.DialContext(ctx, "tcp", net.JoinHostPort(parts[0], parts[1]))
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

func goredisNode(t testing.TB, client goredislib.UniversalClient) driver.Node {
	t.Helper()
	t.Cleanup(func() { _ = client.Close() })
	node, err := goredis.NewNode(client)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func redigoNode(t testing.TB, dial func(ctx context.Context) (redigolib.Conn, error)) driver.Node {
	t.Helper()
	pool := &redigolib.Pool{MaxIdle: 4, DialContext: dial}
	t.Cleanup(func() { _ = pool.Close() })
	node, err := redigo.NewNode(pool)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func rueidisNode(t testing.TB, options rueidislib.ClientOption) driver.Node {
	t.Helper()
	client, err := rueidislib.NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	node, err := rueidis.NewNode(client)
	if err != nil {
		t.Fatal(err)
	}
	return node
}
