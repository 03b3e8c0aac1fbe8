package migration_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// start returns a client of an empty server, and a context for the test.
func start(t *testing.T) (context.Context, *redis.Client) {
	client := redis.NewClient(&redis.Options{Addr: redisserver.Start(t).Addr()})
	t.Cleanup(func() { _ = client.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx, client
}

// mutexOf returns a mutex of a Locker that is closed at the end of the test.
func mutexOf(t *testing.T, client *redis.Client, name string, opts ...redlock.MutexOption) *redlock.Mutex {
	locker, err := redlock.New(goredis.Nodes(client))
	ok(t, err)
	t.Cleanup(func() {
		brief, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = locker.Close(brief) // waits for releases, which a server that is gone does not take
	})
	m, err := locker.NewMutex(name, opts...)
	ok(t, err)
	return m
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
