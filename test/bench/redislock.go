package main

import (
	"context"
	"errors"
	"time"

	"github.com/bsm/redislock"
)

type redislockProcess struct {
	*redislock.Client
	ttl  time.Duration
	stop func()
}

func openRedislock(s setup) (process, error) {
	client := s.goredis()[0]
	return redislockProcess{redislock.New(client), s.ttl, func() { client.Close() }}, nil
}

func (p redislockProcess) close()                  { p.stop() }
func (p redislockProcess) mutex(name string) mutex { return redislockMutex{p, name} }

type redislockMutex struct {
	process redislockProcess
	name    string
}

func (m redislockMutex) try(ctx context.Context) (held, error) { return m.obtain(ctx, nil) }

// lock needs an interval of the caller's choice; its documentation uses 100 ms.
func (m redislockMutex) lock(ctx context.Context) (held, error) {
	return m.obtain(ctx, &redislock.Options{RetryStrategy: redislock.LinearBackoff(100 * time.Millisecond)})
}

func (m redislockMutex) obtain(ctx context.Context, options *redislock.Options) (held, error) {
	l, err := m.process.Obtain(ctx, m.name, m.process.ttl, options)
	if errors.Is(err, redislock.ErrNotObtained) {
		return nil, errTaken
	}
	return redislockHeld{l, m.process.ttl}, err
}

type redislockHeld struct {
	lock *redislock.Lock
	ttl  time.Duration
}

func (h redislockHeld) unlock(ctx context.Context) error { return h.lock.Release(ctx) }
func (h redislockHeld) extend(ctx context.Context) error { return h.lock.Refresh(ctx, h.ttl, nil) }
