//go:build unix

package redisserver_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// Examples have no testing.T, so TestExamples lends its own.
var t *testing.T

// The body of a test on three real servers, of which one dies.
func ExampleStart() {
	var servers []*redisserver.Server
	var clients []redis.UniversalClient
	for range 3 {
		server := redisserver.Start(t) // ends with the test
		client := redis.NewClient(&redis.Options{Addr: server.Addr()})
		defer client.Close()
		servers, clients = append(servers, server), append(clients, client)
	}
	locker, err := redlock.New(goredis.Nodes(clients...))
	if err != nil {
		t.Fatal(err)
	}
	backup, err := locker.NewMutex("backup")
	if err != nil {
		t.Fatal(err)
	}

	servers[0].Kill()
	lease, err := backup.TryLock(t.Context())
	if err != nil {
		t.Fatalf("with one of three servers dead: %v", err)
	}
	if err := lease.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	servers[1].Kill()
	if _, err := backup.TryLock(t.Context()); !errors.Is(err, redlock.ErrNoQuorum) {
		t.Errorf("with two of three servers dead: %v, want ErrNoQuorum", err)
	}
}

// Mutations seen to fail: no Kill of the second server; both servers killed before TryLock.
func TestExamples(test *testing.T) {
	t = test
	ExampleStart()
}
