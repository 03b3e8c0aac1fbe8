package asynqadapter

import (
	"context"
	"errors"
	"slices"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// Middleware lets one task of a key run at a time, on all servers that share
// the locker's nodes: the handler runs under a lease, which is renewed while
// it runs and released when it returns or panics. [WithBusy] says what happens
// to the others. Pass [Configure]'s result to their asynq.NewServer.
//
// The handler's context carries the lease (redlock.LeaseFrom) and ends when the
// lease is lost, with a cause that matches redlock.ErrLost; an error it returns
// then matches that too. If it returns nil all the same, the task is done.
//
// A handler that runs under a lease of the key already, because the middleware
// is used twice on the way to it, runs under that one.
//
// Events go to the locker's observer. The middleware is safe for concurrent use.
func Middleware(locker *redlock.Locker, opts ...MiddlewareOption) (asynq.MiddlewareFunc, error) {
	cfg, err := newGuardConfig(opts, MiddlewareOption.middleware)
	if err != nil {
		return nil, err
	}
	if locker == nil {
		return nil, invalid("locker is nil; make one with redlock.New")
	}
	g := &guard{locker: locker, cfg: cfg}
	if _, err := g.mutex("check", attempt{}); err != nil {
		return nil, err // rather than when the first task comes
	}
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			return g.exclude(ctx, attemptOf(ctx, task), next)
		})
	}, nil
}

func (g *guard) mutex(name string, a attempt) (*redlock.Mutex, error) {
	return g.locker.NewMutex(name, slices.Concat([]redlock.MutexOption{redlock.WithHolder(a.holder())}, g.cfg.mutex)...)
}

func (g *guard) exclude(ctx context.Context, a attempt, next asynq.Handler) error {
	key := g.cfg.key(ctx, a.task)
	m, err := g.mutex(key, a)
	if err != nil {
		return g.refuse(a, key, err)
	}
	lease, err := g.enter(ctx, m, a)
	switch {
	case err == nil:
		defer func() { _ = lease.Unlock(ctx) }() // when the handler panics, too
		return g.run(ctx, lease, a, next)
	case covered(ctx, err):
		return next.ProcessTask(ctx, a.task)
	case ctx.Err() != nil:
		return err
	case g.cfg.busy == Skip && heldByAnother(a, err):
		g.report(a, Skipped, m.Name(), err)
		return nil
	case undecided(err) && !a.last:
		return g.sendBack(a, m.Name(), err)
	}
	return err
}

// enter decides now or, where a task has to wait, when it has waited long enough.
func (g *guard) enter(ctx context.Context, m *redlock.Mutex, a attempt) (*redlock.Lease, error) {
	if g.cfg.busy == Wait && len(tokens(ctx)) == 0 { // it waits in line, and for no lease of its own
		return m.Lock(ctx)
	}
	lease, err := m.TryLock(ctx)
	switch {
	case err == nil || !undecided(err) || covered(ctx, err) || ctx.Err() != nil:
		return lease, err
	case g.cfg.busy == Skip && heldByAnother(a, err):
		return nil, err
	case g.cfg.busy == Wait:
		return m.Lock(ctx)
	case a.last:
		g.report(a, Waiting, m.Name(), err)
		return m.Lock(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, g.cfg.maxWait)
	defer cancel()
	lease, late := m.Lock(limited)
	if late != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, err // what it waited for
	}
	return lease, late
}

// heldByAnother reports whether the key is held, and not by an earlier delivery of the same task.
func heldByAnother(a attempt, err error) bool {
	var refusal *redlock.Error
	return errors.Is(err, redlock.ErrTaken) && !(errors.As(err, &refusal) && a.holds(refusal.Holder))
}
