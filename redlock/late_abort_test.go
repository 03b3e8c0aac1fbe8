package redlock_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// A node hangs for longer than the TTL and a second while it has our acquire, and executes it when it goes on. The abort
// that waits behind it in the mailbox must not have been thrown away by then.
func TestMutex_abortOutlivesALongHang(t *testing.T) {
	for _, claim := range []bool{false, true} {
		server := redisserver.Start(t)
		client := redis.NewClient(&redis.Options{Addr: server.Addr()})
		defer client.Close()
		locker, err := redlock.New(goredis.Nodes(client), redlock.WithTTL(500*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		m := subjectOn(t, locker, "job")
		if l, err := m.Lock(t.Context()); err != nil { // scripts and connection are there, however busy the machine
			t.Fatal(err)
		} else {
			_ = l.Unlock(t.Context())
		}
		tick := time.Now()
		server.Pause()
		if claim {
			_, err = m.Claim(t.Context(), tick)
		} else {
			_, err = m.TryLock(t.Context())
		}
		t.Log(err)
		time.Sleep(2 * time.Second)
		server.Resume()
		if err := locker.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, _ := server.Do("GET", "job")
		ttl, _ := server.Do("PTTL", "job")
		keys, _ := server.Do("KEYS", "*tick*")
		if got != nil {
			t.Errorf("claim %v: after Close the node still holds %v for %v ms, keys %v", claim, got, ttl, keys)
		}
	}
}
