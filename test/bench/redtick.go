package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redigo"
	"github.com/redtick/redtick/redlock/rueidis"
)

type redtick struct {
	locker *redlock.Locker
	jobs   sync.Map // by name: like a schedule's, they are made once
	stop   func()
}

func openRedtickGoredis(s setup) (process, error) { return openRedtickWith(s) }

func openRedtickWith(s setup, opts ...redlock.LockerOption) (process, error) {
	clients := s.goredis()
	universal := make([]redis.UniversalClient, len(clients))
	for i, c := range clients {
		universal[i] = c
	}
	return newRedtick(s, goredis.Nodes(universal...), func() {
		for _, c := range clients {
			c.Close()
		}
	}, opts...)
}

func openRedtickRueidis(s setup) (process, error) {
	clients, err := s.rueidis()
	if err != nil {
		return nil, err
	}
	return newRedtick(s, rueidis.Nodes(clients...), func() {
		for _, c := range clients {
			c.Close()
		}
	})
}

func openRedtickRedigo(s setup) (process, error) {
	pools := s.redigo()
	return newRedtick(s, redigo.Nodes(pools...), func() {
		for _, p := range pools {
			p.Close()
		}
	})
}

func newRedtick(s setup, nodes []driver.Node, stop func(), opts ...redlock.LockerOption) (process, error) {
	locker, err := redlock.New(nodes, append(opts, redlock.WithTTL(s.ttl))...)
	if err != nil {
		return nil, err
	}
	return &redtick{locker: locker, stop: stop}, nil
}

func (p *redtick) mutex(name string) mutex {
	m, err := p.locker.NewMutex(name)
	if err != nil {
		panic(err) // the names are our own
	}
	return redtickMutex{m}
}

func (p *redtick) claim(ctx context.Context, job string, tick time.Time) (held, error) {
	j, known := p.jobs.Load(job)
	if !known {
		made, err := p.locker.NewJob(job)
		if err != nil {
			return nil, err
		}
		j, _ = p.jobs.LoadOrStore(job, made)
	}
	return redtickHeld(j.(*redlock.Job).Claim(ctx, tick))
}

func (p *redtick) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = p.locker.Close(ctx)
	p.stop()
}

type redtickMutex struct{ *redlock.Mutex }

func (m redtickMutex) try(ctx context.Context) (held, error)  { return redtickHeld(m.TryLock(ctx)) }
func (m redtickMutex) lock(ctx context.Context) (held, error) { return redtickHeld(m.Lock(ctx)) }

func redtickHeld(l *redlock.Lease, err error) (held, error) {
	switch {
	case err == nil:
		return redtickLease{l}, nil
	case errors.Is(err, redlock.ErrTaken), errors.Is(err, redlock.ErrTickDone):
		return nil, errTaken
	}
	return nil, err
}

type redtickLease struct{ *redlock.Lease }

func (l redtickLease) unlock(ctx context.Context) error { return l.Unlock(ctx) }
