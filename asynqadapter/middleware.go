package asynqadapter

import (
	"context"
	"errors"
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
	cfg, err := newGuardConfig(opts, MiddlewareOption.middleware)
	if err != nil {
		return nil, err
	}
	if locker == nil {
		return nil, invalid("locker is nil; make one with redlock.New")
	}
	g := &guard{locker: locker, cfg: cfg}
	if _, err := g.mutex("check", delivery{}); err != nil {
		return nil, err // now, not when the first task comes
	}
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			return g.exclude(ctx, deliveryOf(ctx, task), next)
		})
	}, nil
}

func (g *guard) mutex(name string, d delivery) (*redlock.Mutex, error) {
	return g.locker.NewMutex(name, slices.Concat([]redlock.MutexOption{redlock.WithHolder(d.holder())}, g.cfg.mutex)...)
}

func (g *guard) exclude(ctx context.Context, d delivery, next asynq.Handler) error {
	key := g.cfg.key(ctx, d.task)
	m, err := g.mutex(key, d)
	if err != nil {
		return g.refuse(d, key, err)
	}
	lease, err := g.enter(ctx, m, d)
	switch {
	case err == nil:
		defer func() { _ = lease.Unlock(ctx) }() // when the handler panics, too
		return g.run(ctx, lease, d, next)
	case covered(ctx, err):
		return next.ProcessTask(ctx, d.task)
	case ctx.Err() != nil:
		return err
	case g.cfg.busy == Skip && heldByAnother(d, err):
		g.report(d, Skipped, m.Name(), err)
		return nil
	case undecided(err) && !d.last:
		return g.sendBack(d, m.Name(), err)
	}
	return err
}

// enter acquires the key's lease. It waits as the busy policy says.
func (g *guard) enter(ctx context.Context, m *redlock.Mutex, d delivery) (*redlock.Lease, error) {
	if g.cfg.busy == Wait && len(tokens(ctx)) == 0 { // it queues at once, as no lease of its own can block it
		return m.Lock(ctx)
	}
	lease, err := m.TryLock(ctx)
	switch {
	case err == nil || !undecided(err) || covered(ctx, err) || ctx.Err() != nil:
		return lease, err
	case g.cfg.busy == Skip && heldByAnother(d, err):
		return nil, err
	case g.cfg.busy == Wait:
		return m.Lock(ctx)
	case d.last:
		g.report(d, Waiting, m.Name(), err)
		return m.Lock(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, g.cfg.maxWait)
	defer cancel()
	lease, late := m.Lock(limited)
	if late != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, err // the reason for waiting, not the timeout
	}
	return lease, late
}

// heldByAnother reports whether the key is held, and not by an earlier delivery of the same task.
func heldByAnother(d delivery, err error) bool {
	var refusal *redlock.Error
	return errors.Is(err, redlock.ErrTaken) && !(errors.As(err, &refusal) && d.holds(refusal.Holder))
}
