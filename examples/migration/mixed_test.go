package migration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	bsm "github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	redsyncgoredis "github.com/go-redsync/redsync/v4/redis/goredis/v9"

	"github.com/redtick/redtick/redlock"
)

// During a migration, locks of both libraries on one name exclude each other.
func TestMixed_exclusion(t *testing.T) {
	ctx, client := start(t)
	m := mutexOf(t, client, "report")
	rs := redsync.New(redsyncgoredis.NewPool(client))
	old := rs.NewMutex("report", redsync.WithTries(1))

	lease, err := m.TryLock(ctx)
	ok(t, err)
	if old.LockContext(ctx) == nil {
		t.Error("redsync got what redtick holds")
	}
	if _, err := bsm.Obtain(ctx, client, "report", time.Second, nil); !errors.Is(err, bsm.ErrNotObtained) {
		t.Errorf("bsm/redislock: %v", err)
	}
	ok(t, lease.Unlock(ctx))
	ok(t, old.LockContext(ctx))
	if _, err := m.TryLock(ctx); !errors.Is(err, redlock.ErrTaken) {
		t.Errorf("redtick: %v", err)
	}
}

// A lease that another library is to unlock must be detached, or renewal restores it.
func TestMixed_detachBeforeUnlock(t *testing.T) {
	ctx, client := start(t)
	m := mutexOf(t, client, "report", redlock.WithTTL(150*time.Millisecond))
	rs := redsync.New(redsyncgoredis.NewPool(client))

	lease, err := m.Lock(ctx)
	ok(t, err)
	_, err = rs.NewMutex("report", redsync.WithValue(lease.Token())).UnlockContext(ctx)
	ok(t, err)
	eventually(t, func() bool { return client.Exists(ctx, "report").Val() == 1 })

	token, err := lease.Detach()
	ok(t, err)
	_, err = rs.NewMutex("report", redsync.WithValue(token)).UnlockContext(ctx)
	ok(t, err)
	if lease, err = m.TryLock(ctx); err != nil {
		t.Fatalf("after Detach and Unlock: %v", err)
	}
	ok(t, lease.Unlock(ctx))
}

// A lock of redsync's can be taken over: Adopt waits until its handle cannot count on it.
func TestMixed_adopt(t *testing.T) {
	ctx, client := start(t)
	rs := redsync.New(redsyncgoredis.NewPool(client))
	old := rs.NewMutex("report", redsync.WithExpiry(300*time.Millisecond))
	ok(t, old.LockContext(ctx))
	m := mutexOf(t, client, "report")
	lease, err := m.Adopt(ctx, old.Value())
	ok(t, err)
	if time.Now().Before(old.Until()) {
		t.Error("two holders")
	}
	ok(t, lease.Unlock(context.Background()))
}

// eventually waits for another goroutine.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came")
		}
	}
}
