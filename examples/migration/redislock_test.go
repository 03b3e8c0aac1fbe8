package migration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bsm/redislock"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
)

func TestRedislock_calls(t *testing.T) {
	ctx, client := start(t)

	before := func() {
		locker := redislock.New(client)
		lock, err := locker.Obtain(ctx, "report", 10*time.Second, nil)
		ok(t, err)
		ok(t, lock.Refresh(ctx, 10*time.Second, nil))
		left, err := lock.TTL(ctx)
		if err != nil || left <= 0 || lock.Key() != "report" || lock.Token() == "" {
			t.Errorf("%v left (%v), key %q", left, err, lock.Key())
		}
		ok(t, lock.Release(ctx))
	}
	after := func() {
		locker, err := redlock.New(goredis.Nodes(client))
		ok(t, err)
		defer locker.Close(ctx)
		m, err := locker.NewMutex("report", redlock.WithTTL(10*time.Second))
		ok(t, err)
		lease, err := m.TryLock(ctx)
		ok(t, err)
		ok(t, lease.Extend(ctx))
		left := time.Until(lease.ValidUntil())
		if left <= 0 || lease.Name() != "report" || lease.Token() == "" {
			t.Errorf("%v left, key %q", left, lease.Name())
		}
		ok(t, lease.Unlock(ctx))
	}
	before()
	after()
}

func TestRedislock_retry(t *testing.T) {
	ctx, client := start(t)
	lock, err := redislock.Obtain(ctx, client, "report", 10*time.Second, nil)
	ok(t, err)

	retry := redislock.LimitRetry(redislock.LinearBackoff(10*time.Millisecond), 5)
	_, err = redislock.Obtain(ctx, client, "report", time.Second, &redislock.Options{RetryStrategy: retry})
	if !errors.Is(err, redislock.ErrNotObtained) {
		t.Errorf("redislock: %v", err)
	}

	m := mutexOf(t, client, "report", redlock.WithBackoff(func(try int) time.Duration { return 10 * time.Millisecond }))
	waiting, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = m.Lock(waiting)
	if !errors.Is(err, redlock.ErrTaken) {
		t.Errorf("redtick: %v", err)
	}
	ok(t, lock.Release(ctx))
}

func TestRedislock_lost(t *testing.T) {
	ctx, client := start(t)
	lock, err := redislock.Obtain(ctx, client, "report", 10*time.Second, nil)
	ok(t, err)
	client.FlushAll(ctx)
	err = lock.Release(ctx)
	if !errors.Is(err, redislock.ErrLockNotHeld) {
		t.Errorf("redislock: %v", err)
	}

	m := mutexOf(t, client, "report")
	lease, err := m.TryLock(ctx)
	ok(t, err)
	client.FlushAll(ctx)
	err = lease.Unlock(ctx)
	if !errors.Is(err, redlock.ErrLost) {
		t.Errorf("redtick: %v", err)
	}
}

func TestRedislock_metadata(t *testing.T) {
	ctx, client := start(t)
	lock, err := redislock.Obtain(ctx, client, "before", time.Second, &redislock.Options{Metadata: "host-1"})
	ok(t, err)
	if lock.Metadata() != "host-1" {
		t.Errorf("redislock: %q", lock.Metadata())
	}

	m := mutexOf(t, client, "after", redlock.WithHolder("host-1"))
	lease, err := m.TryLock(ctx)
	ok(t, err)
	if redlock.HolderOf(lease.Token()) != "host-1" {
		t.Errorf("redtick: %q", lease.Token())
	}
	ok(t, lease.Unlock(ctx))
}
