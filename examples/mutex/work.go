package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
)

// work is the part to copy: lock, work, unlock.
func work(ctx context.Context, addrs []string) (err error) {
	var nodes []driver.Node
	for _, addr := range addrs {
		nodes = append(nodes, goredis.Nodes(redis.NewClient(&redis.Options{Addr: addr}))...)
	}
	locker, err := redlock.New(nodes)
	if err != nil {
		return err
	}
	// Close sends outstanding releases to the nodes, which takes no longer than the TTL.
	defer func() { err = errors.Join(err, locker.Close(context.Background())) }()
	mutex, err := locker.NewMutex("redtick-demo:mutex", redlock.WithTTL(5*time.Second))
	if err != nil {
		return err
	}
	lease, err := mutex.Lock(ctx) // waits for its turn; TryLock does not
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Unlock(ctx)) }()
	fmt.Println("locked, as", lease.Token())
	_, second := mutex.TryLock(ctx)
	fmt.Println("a second TryLock says:", second)

	// The lease is renewed as long as the work takes. If it is lost, held is canceled.
	held, stop := lease.Bind(ctx)
	defer stop()
	select {
	case <-time.After(time.Second):
		return nil
	case <-held.Done():
		return context.Cause(held)
	}
}
