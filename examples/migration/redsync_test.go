package migration_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-redsync/redsync/v4"
	redsyncgoredis "github.com/go-redsync/redsync/v4/redis/goredis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
)

func TestRedsync_calls(t *testing.T) {
	ctx, client := start(t)

	before := func() {
		rs := redsync.New(redsyncgoredis.NewPool(client))
		m := rs.NewMutex("report")
		ok(t, m.LockContext(ctx))
		extended, err := m.ExtendContext(ctx)
		valid, _ := m.ValidContext(ctx)
		if err != nil || !extended || !valid || m.Value() == "" || time.Now().After(m.Until()) || m.Name() != "report" {
			t.Errorf("extended %v (%v), valid %v", extended, err, valid)
		}
		unlocked, err := m.UnlockContext(ctx)
		if err != nil || !unlocked {
			t.Errorf("unlocked %v (%v)", unlocked, err)
		}
		ok(t, m.TryLockContext(ctx))
		_, err = m.UnlockContext(ctx)
		ok(t, err)
	}
	after := func() {
		locker, err := redlock.New(goredis.Nodes(client))
		ok(t, err)
		defer locker.Close(ctx)
		m, err := locker.NewMutex("report")
		ok(t, err)
		lease, err := m.Lock(ctx)
		ok(t, err)
		err = lease.Extend(ctx)
		valid := lease.Context().Err() == nil
		if err != nil || !valid || lease.Token() == "" || time.Now().After(lease.ValidUntil()) || m.Name() != "report" {
			t.Errorf("extended %v, valid %v", err, valid)
		}
		err = lease.Unlock(ctx)
		ok(t, err)
		lease, err = m.TryLock(ctx)
		ok(t, err)
		ok(t, lease.Unlock(ctx))
	}
	before()
	after()
}

func TestRedsync_options(t *testing.T) {
	ctx, client := start(t)
	random := func() (string, error) { return "value-" + time.Now().Format(time.StampNano), nil }

	rs := redsync.New(redsyncgoredis.NewPool(client))
	before := rs.NewMutex("before",
		redsync.WithExpiry(10*time.Second),
		redsync.WithDriftFactor(0.01),
		redsync.WithTimeoutFactor(0.05),
		redsync.WithRetryDelayFunc(func(try int) time.Duration { return 200 * time.Millisecond }),
		redsync.WithGenValueFunc(random))
	ok(t, before.LockContext(ctx))

	locker, err := redlock.New(goredis.Nodes(client), redlock.WithTokenFunc(random))
	ok(t, err)
	defer locker.Close(context.Background())
	after, err := locker.NewMutex("after",
		redlock.WithTTL(10*time.Second),
		redlock.WithDrift(0.01),
		redlock.WithNodeTimeout(500*time.Millisecond),
		redlock.WithBackoff(func(try int) time.Duration { return 200 * time.Millisecond }))
	ok(t, err)
	lease, err := after.Lock(ctx)
	ok(t, err)
	if ttl := client.PTTL(ctx, "after").Val(); ttl <= 9*time.Second || ttl > 10*time.Second {
		t.Errorf("the key lives for %v", ttl)
	}
	// There the function's result is the value; here the holder stands before it.
	if !strings.HasPrefix(before.Value(), "value-") || !strings.Contains(lease.Token(), "/value-") {
		t.Errorf("%q, %q", before.Value(), lease.Token())
	}
	ok(t, lease.Unlock(ctx))
}

func TestRedsync_errors(t *testing.T) {
	ctx, client := start(t)
	rs := redsync.New(redsyncgoredis.NewPool(client))
	ok(t, rs.NewMutex("report").LockContext(ctx))

	err := rs.NewMutex("report", redsync.WithTries(1)).LockContext(ctx)
	var taken *redsync.ErrTaken
	if !errors.As(err, &taken) || len(taken.Nodes) != 1 {
		t.Errorf("redsync: %v", err)
	}
	m := mutexOf(t, client, "report")
	_, err = m.TryLock(ctx)
	var refused *redlock.Error
	if !errors.Is(err, redlock.ErrTaken) || !errors.As(err, &refused) || len(refused.RefusedBy) != 1 {
		t.Errorf("redtick: %v", err)
	}

	// Lock waits until ctx ends; there it gave up after WithTries.
	waiting, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = m.Lock(waiting)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, redlock.ErrTaken) {
		t.Errorf("redtick: %v", err)
	}
}

func TestRedsync_noRedis(t *testing.T) {
	ctx, client := start(t)
	rs := redsync.New(redsyncgoredis.NewPool(client))
	before := rs.NewMutex("report", redsync.WithTries(1))
	m := mutexOf(t, client, "other")
	ok(t, client.Close())

	err := before.LockContext(ctx)
	var node *redsync.RedisError
	if !errors.As(err, &node) {
		t.Errorf("redsync: %v", err)
	}
	_, err = m.TryLock(ctx)
	var cause *redlock.NodeError
	if !errors.Is(err, redlock.ErrNoQuorum) || !errors.As(err, &cause) {
		t.Errorf("redtick: %v", err)
	}
}

func TestRedsync_lost(t *testing.T) {
	ctx, client := start(t)
	rs := redsync.New(redsyncgoredis.NewPool(client))
	before := rs.NewMutex("report")
	ok(t, before.LockContext(ctx))
	client.FlushAll(ctx)
	_, err := before.UnlockContext(ctx)
	if !errors.Is(err, redsync.ErrLockAlreadyExpired) {
		t.Errorf("redsync: %v", err)
	}

	m := mutexOf(t, client, "report", redlock.WithTTL(100*time.Millisecond), redlock.WithoutRenewal())
	lease, err := m.Lock(ctx)
	ok(t, err)
	<-lease.Context().Done() // no polling needed
	err = lease.Unlock(ctx)
	if !errors.Is(err, redlock.ErrLost) || !errors.Is(context.Cause(lease.Context()), redlock.ErrLost) {
		t.Errorf("redtick: %v", err)
	}
}

// A lock that one process acquires and another one releases.
func TestRedsync_handOver(t *testing.T) {
	ctx, client := start(t)
	rs := redsync.New(redsyncgoredis.NewPool(client))
	here := rs.NewMutex("report")
	ok(t, here.LockContext(ctx))
	there := rs.NewMutex("report", redsync.WithValue(here.Value()))
	_, err := there.UnlockContext(ctx)
	ok(t, err)

	m := mutexOf(t, client, "report")
	lease, err := m.Lock(ctx)
	ok(t, err)
	token, err := lease.Detach()
	ok(t, err)
	lease, err = m.Adopt(ctx, token)
	ok(t, err)
	ok(t, lease.Unlock(ctx))
}

// redsync's way to let work be done once in a while: a lock that nobody unlocks.
func TestRedsync_dedupe(t *testing.T) {
	ctx, client := start(t)
	rs := redsync.New(redsyncgoredis.NewPool(client))
	ok(t, rs.NewMutex("before", redsync.WithExpiry(time.Minute)).TryLockContext(ctx))

	m := mutexOf(t, client, "after", redlock.WithTTL(time.Minute), redlock.WithoutRenewal())
	_, err := m.TryLock(ctx)
	ok(t, err)
	_, err = m.TryLock(ctx)
	if !errors.Is(err, redlock.ErrTaken) {
		t.Errorf("second: %v", err)
	}
}

// For once per interval a claim is better: it holds for every clock, and the lock is free again.
func TestRedsync_oncePerTick(t *testing.T) {
	ctx, client := start(t)
	locker, err := redlock.New(goredis.Nodes(client))
	ok(t, err)
	defer locker.Close(context.Background())
	runs := 0
	for range 2 {
		job, err := locker.NewJob("report")
		ok(t, err)
		err = job.Run(ctx, time.Now().Truncate(5*time.Minute), func(context.Context) error { runs++; return nil })
		if err != nil && !errors.Is(err, redlock.ErrTickDone) {
			t.Error(err)
		}
	}
	if runs != 1 {
		t.Errorf("%d runs", runs)
	}
}
