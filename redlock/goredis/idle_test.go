package goredis_test

import (
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// A replica's answers make the node close idle connections while the client may
// be in the handshake of another. Fails, under the race detector only, when the
// sweep shares the client's options.
func TestNode_sweepsBesideHandshakes(t *testing.T) {
	primary, replica := redisserver.Start(t), redisserver.Start(t)
	if _, err := replica.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(primary.Port())); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		client := redis.NewClient(&redis.Options{Addr: replica.Addr(), MinIdleConns: 8})
		for client.PoolStats().IdleConns < 8 { // which have not shaken hands
			runtime.Gosched()
		}
		node, err := goredis.NewNode(client)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { do(node, driver.Command{"SET", "key", "value"}) })
		}
		all.Wait()
		_ = client.Close()
	}
}
