package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/inspect"
)

// maxSkew is how far the replicas' wall clocks may be ahead of the nodes'.
const maxSkew = 2 * time.Second

type redtick struct {
	clients []redis.UniversalClient
	locker  *redlock.Locker
	mutexes map[string]*redlock.Mutex
	jobs    map[string]*redlock.Job
}

func openRedtick(s setup) (*redtick, error) {
	r := &redtick{clients: dial(s.Addrs), mutexes: map[string]*redlock.Mutex{}, jobs: map[string]*redlock.Job{}}
	options := []redlock.LockerOption{redlock.WithTTL(s.TTL), redlock.WithHolder(s.Process), redlock.WithMaxSkew(maxSkew)}
	if s.Guard {
		options = append(options, redlock.WithRestartGuard(s.TTL))
	}
	var err error
	if r.locker, err = redlock.New(goredis.Nodes(r.clients...), options...); err != nil {
		return nil, err
	}
	for _, name := range allNames() {
		var fenced []redlock.MutexOption
		if name == fencedLock {
			fenced = []redlock.MutexOption{redlock.WithFencing()}
		}
		if r.jobs[name], err = r.locker.NewJob(name); err != nil {
			return nil, err
		}
		if r.mutexes[name], err = r.locker.NewMutex(name, fenced...); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// dial returns clients with go-redis' default options.
func dial(addrs []string) []redis.UniversalClient {
	clients := make([]redis.UniversalClient, len(addrs))
	for i, addr := range addrs {
		clients[i] = redis.NewClient(&redis.Options{Addr: addr})
	}
	return clients
}

// bootstrap declares newly started nodes to be new.
func bootstrap(ctx context.Context, s setup) error {
	r, err := openRedtick(s)
	if err != nil {
		return err
	}
	i, err := inspect.New(goredis.Nodes(r.clients...))
	if err != nil {
		return err
	}
	return errors.Join(i.Bootstrap(ctx), r.close(ctx))
}

func (r *redtick) acquire(ctx context.Context, op, name string, tick time.Time) (lease, error) {
	m := r.mutexes[name]
	var l *redlock.Lease
	var err error
	switch op {
	case "claim":
		l, err = r.jobs[name].Claim(ctx, tick)
	case "try":
		l, err = m.TryLock(ctx)
	default:
		l, err = m.Lock(ctx)
	}
	if err != nil {
		return nil, err
	}
	return redtickLease{l}, nil
}

func (r *redtick) reason(err error) string {
	for _, reason := range []error{
		redlock.ErrTaken, redlock.ErrTickDone, redlock.ErrNoQuorum, redlock.ErrLost, redlock.ErrTickStale, redlock.ErrClockSkew,
	} {
		if errors.Is(err, reason) {
			return strings.TrimPrefix(reason.Error(), "redlock: ")
		}
	}
	return err.Error()
}

func (r *redtick) close(ctx context.Context) error {
	err := r.locker.Close(ctx)
	for _, c := range r.clients {
		_ = c.Close()
	}
	return err
}

type redtickLease struct{ *redlock.Lease }

func (l redtickLease) token() string                    { return l.Token() }
func (l redtickLease) fence() int64                     { return l.Fence() }
func (l redtickLease) until() time.Time                 { return l.ValidUntil() }
func (l redtickLease) lost() <-chan struct{}            { return l.Context().Done() }
func (l redtickLease) unlock(ctx context.Context) error { return l.Unlock(ctx) }
