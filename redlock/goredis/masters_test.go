package goredis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// go-redis moves the keys of a Ring's dead server to other servers, where a held
// name would appear free and be missing from a list. A Ring embedded in a wrapper
// must be recognized, too.
func TestNode_ringServerDown(t *testing.T) {
	checkRingServerDown(t, func(r *redis.Ring) redis.UniversalClient { return r })
	checkRingServerDown(t, func(r *redis.Ring) redis.UniversalClient { return struct{ *redis.Ring }{r} })
}

func checkRingServerDown(t *testing.T, wrap func(*redis.Ring) redis.UniversalClient) {
	t.Helper()
	a, b := redisserver.Start(t), redisserver.Start(t)
	ring := redis.NewRing(&redis.RingOptions{
		Addrs: map[string]string{"a": a.Addr(), "b": b.Addr()}, HeartbeatFrequency: 10 * time.Millisecond,
	})
	t.Cleanup(func() { _ = ring.Close() })
	node, err := goredis.NewNode(wrap(ring))
	if err != nil {
		t.Fatal(err)
	}
	if servers, err := node.Masters(t.Context()); err != nil || len(servers) != 2 {
		t.Errorf("%v, %v; want 2", servers, err)
	}
	b.Kill()
	for end := time.Now().Add(5 * time.Second); ring.Len() == 2 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if servers, err := node.Masters(t.Context()); err == nil || !strings.Contains(err.Error(), "1 of the Ring's 2 servers") {
		t.Errorf("one is down: %v, %v", servers, err)
	}
	for i := range 20 {
		if got := node.Do(t.Context(), []driver.Command{{"SET", fmt.Sprint(i), "v", "NX"}})[0]; got.Err == nil {
			t.Errorf("one is down: %d was set: %v", i, got.Value)
		}
	}
}

func TestNode_Masters_single(t *testing.T) {
	node := newNode(t, &redis.Options{Addr: "127.0.0.1:1"})
	if servers, err := node.Masters(t.Context()); err != nil || len(servers) > 0 {
		t.Errorf("one server: %v, %v; want none", servers, err)
	}
}
