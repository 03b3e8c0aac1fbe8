package main

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
)

// redsyncLocker uses redsync as the usual lockers for schedulers do: a lock for each
// run, released at its end. It has no ticks, no fences and no renewal.
type redsyncLocker struct {
	setup  setup
	rs     *redsync.Redsync
	finish func()
}

func openRedsync(s setup) *redsyncLocker {
	clients := dial(s.Addrs)
	pools := make([]redis.Pool, len(clients))
	for i, c := range clients {
		pools[i] = goredis.NewPool(c)
	}
	return &redsyncLocker{s, redsync.New(pools...), func() {
		for _, c := range clients {
			_ = c.Close()
		}
	}}
}

func (r *redsyncLocker) acquire(ctx context.Context, op, name string, _ time.Time) (lease, error) {
	m := r.rs.NewMutex(name, redsync.WithExpiry(r.setup.TTL), redsync.WithGenValueFunc(func() (string, error) {
		return r.setup.Process + "/" + rand.Text(), nil
	}))
	lock := m.TryLockContext
	if op == "lock" {
		lock = m.LockContext
	}
	if err := lock(ctx); err != nil {
		return nil, err
	}
	return redsyncLease{m}, nil
}

func (r *redsyncLocker) reason(err error) string {
	if taken := (*redsync.ErrTaken)(nil); errors.As(err, &taken) {
		return "taken"
	}
	return "no quorum"
}

func (r *redsyncLocker) close(context.Context) error {
	r.finish()
	return nil
}

type redsyncLease struct{ m *redsync.Mutex }

func (l redsyncLease) token() string         { return l.m.Value() }
func (l redsyncLease) fence() int64          { return 0 }
func (l redsyncLease) until() time.Time      { return l.m.Until() }
func (l redsyncLease) lost() <-chan struct{} { return nil }

func (l redsyncLease) unlock(ctx context.Context) error {
	_, err := l.m.UnlockContext(ctx)
	return err
}
