package main

import (
	"context"
	"errors"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/go-redsync/redsync/v4/redis/rueidis"
	"github.com/redis/rueidis/rueidiscompat"
)

type redsyncProcess struct {
	*redsync.Redsync
	setup    setup
	failFast bool
	stop     func()
}

func openRedsyncGoredis(failFast bool) func(setup) (process, error) {
	return func(s setup) (process, error) {
		clients := s.goredis()
		pools := make([]redis.Pool, len(clients))
		for i, c := range clients {
			pools[i] = goredis.NewPool(c)
		}
		return redsyncProcess{redsync.New(pools...), s, failFast, func() {
			for _, c := range clients {
				c.Close()
			}
		}}, nil
	}
}

func openRedsyncRueidis(failFast bool) func(setup) (process, error) {
	return func(s setup) (process, error) {
		clients, err := s.rueidis()
		if err != nil {
			return nil, err
		}
		pools := make([]redis.Pool, len(clients))
		for i, c := range clients {
			pools[i] = rueidis.NewPool(rueidiscompat.NewAdapter(c))
		}
		return redsyncProcess{redsync.New(pools...), s, failFast, func() {
			for _, c := range clients {
				c.Close()
			}
		}}, nil
	}
}

func (p redsyncProcess) close() { p.stop() }

func (p redsyncProcess) mutex(name string) mutex {
	options := []redsync.Option{redsync.WithExpiry(p.setup.ttl), redsync.WithFailFast(p.failFast)}
	return redsyncMutex{p.NewMutex(name, options...)}
}

// redsyncMutex holds the state of an acquisition, as redsync's own does.
type redsyncMutex struct{ *redsync.Mutex }

func (m redsyncMutex) try(ctx context.Context) (held, error) {
	err := m.TryLockContext(ctx)
	var taken *redsync.ErrTaken
	if errors.As(err, &taken) || errors.Is(err, redsync.ErrFailed) {
		return nil, errTaken
	}
	return m, err
}

// lock retries beyond redsync's 32 tries, for scenarios with waiters.
func (m redsyncMutex) lock(ctx context.Context) (held, error) {
	for {
		err := m.LockContext(ctx)
		if err == nil || ctx.Err() != nil {
			return m, err
		}
	}
}

func (m redsyncMutex) unlock(ctx context.Context) error {
	_, err := m.UnlockContext(ctx)
	return err
}

func (m redsyncMutex) extend(ctx context.Context) error {
	_, err := m.ExtendContext(ctx)
	return err
}
