package asynqadapter

import (
	"context"
	"slices"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// Middleware returns a middleware that runs one task per key at a time, on all servers
// that share the locker's nodes. The handler runs under a lease, which is renewed
// while it runs and released when it returns or panics. [WithBusy] says what happens
// to other tasks of the key. Pass [Configure]'s result to asynq.NewServer.
//
// The handler's context carries the lease (redlock.LeaseFrom). It is canceled when
// the lease is lost, with a cause that matches redlock.ErrLost; an error that the
// handler then returns is made to match it too. If the handler returns nil, the task
// is done in any case.
//
// If the middleware is applied twice with the same key, the handler runs under the
// first lease.
//
// Events go to the locker's observer. Errors of Middleware match redlock.ErrInvalid.
// The middleware is safe for concurrent use.
func Middleware(locker *redlock.Locker, opts ...MiddlewareOption) (asynq.MiddlewareFunc, error) {
	g, err := newGuard(locker, Skipped, opts, MiddlewareOption.middleware)
	if err == nil {
		_, err = g.mutex("check", delivery{}) // now, not when the first task comes
	}
	if err != nil {
		return nil, err
	}
	return middleware(g.exclude), nil
}

func (g *guard) exclude(ctx context.Context, d delivery, next asynq.Handler) error {
	key := g.cfg.key(ctx, d.task)
	m, err := g.mutex(key, d)
	if err != nil {
		return g.refuse(d, key, err)
	}
	return g.serve(ctx, d, m.Name(), m.TryLock, m.Lock, next)
}

func (g *guard) mutex(name string, d delivery) (*redlock.Mutex, error) {
	return g.locker.NewMutex(name, slices.Concat([]redlock.MutexOption{redlock.WithHolder(d.holder())}, g.cfg.mutex)...)
}
