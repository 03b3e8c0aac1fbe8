package demo_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/examples/internal/demo"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// Seen to fail when driveClock is not started.
func TestOpenRedis_embedded_keys_expire(t *testing.T) {
	t.Setenv("REDIS_ADDRS", "")
	r, err := demo.OpenRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(r.Addrs) != 3 || !r.Embedded {
		t.Errorf("embedded %v, %d nodes, want 3", r.Embedded, len(r.Addrs))
	}
	for _, addr := range r.Addrs {
		client := redis.NewClient(&redis.Options{Addr: addr})
		defer client.Close()
		begin := time.Now()
		if err := client.Set(t.Context(), "k", "v", 100*time.Millisecond).Err(); err != nil {
			t.Fatal(err)
		}
		for client.Exists(t.Context(), "k").Val() == 1 {
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("%s: the key outlived its 100 ms by far", addr)
			}
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(begin); took < 80*time.Millisecond {
			t.Errorf("%s: the key lived for %v, want 100 ms", addr, took)
		}
	}
}

// Seen to fail when dial asks for all nodes to answer.
func TestOpenRedis_a_majority_is_enough(t *testing.T) {
	servers := redisserver.StartN(t, 2)
	addrs := []string{servers[0].Addr(), servers[1].Addr(), "127.0.0.1:1"}
	t.Setenv("REDIS_ADDRS", strings.Join(addrs, " , "))
	r, err := demo.OpenRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !slices.Equal(r.Addrs, addrs) || r.Embedded {
		t.Errorf("addresses %v, embedded %v, want %v, false", r.Addrs, r.Embedded, addrs)
	}
	servers[1].Kill()
	if _, err := demo.OpenRedis(t.Context()); err == nil {
		t.Error("1 of 3 nodes was taken for a majority")
	}
}
