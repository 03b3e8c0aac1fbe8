package asynqadapter

import (
	"context"
	"errors"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// Middleware lets one task of a key run at a time, on all servers that share
// the locker's nodes: the handler runs under a lease, which is renewed while
// it runs and given back when it returns or panics. [WithBusy] says what
// happens to the others. Pass [Configure]'s result to their asynq.NewServer.
//
// The handler's context also ends when the lease is lost, with a cause that
// matches redlock.ErrLost; an error it returns then matches that too. If it
// returns nil all the same, the task is done, and a [Lost] event tells.
//
// It knows [WithKey], [WithBusy], [WithRequeueDelay], [WithMutex] and
// [WithObserver]. The middleware is safe for concurrent use.
func Middleware(locker *redlock.Locker, opts ...Option) (asynq.MiddlewareFunc, error) {
	known := []string{"WithKey", "WithBusy", "WithRequeueDelay", "WithMutex", "WithObserver"}
	cfg, err := newConfig("Middleware", known, opts)
	if err != nil {
		return nil, err
	}
	g, err := newGuard(locker, cfg)
	if err != nil {
		return nil, err
	}
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			return g.exclude(ctx, attemptOf(ctx, task), next)
		})
	}, nil
}

func (g *guard) exclude(ctx context.Context, a attempt, next asynq.Handler) error {
	key, err := g.key(ctx, a.task)
	if err != nil {
		return err
	}
	m, err := g.mutex(key, redlock.WithHolder(a.holder()))
	if err != nil {
		return err
	}
	lease, err := g.enter(ctx, m, a)
	switch {
	case err == nil:
		return g.run(ctx, lease, m.Name(), a, next)
	case ctx.Err() != nil:
		return err
	case g.cfg.busy == Skip && errors.Is(err, redlock.ErrTaken) && !heldBy(a, err):
		g.cfg.observe.tell(a.event(Skipped, m.Name(), err))
		return nil
	case undecided(err) && !a.last:
		return g.sendBack(a, m.Name(), err)
	}
	return err
}

// enter decides now, except where a task has to wait.
func (g *guard) enter(ctx context.Context, m *redlock.Mutex, a attempt) (*redlock.Lease, error) {
	if g.cfg.busy == Wait {
		return m.Lock(ctx)
	}
	lease, err := m.TryLock(ctx)
	if !a.last || !undecided(err) || ctx.Err() != nil {
		return lease, err
	}
	if g.cfg.busy == Skip && errors.Is(err, redlock.ErrTaken) && !heldBy(a, err) {
		return nil, err
	}
	g.cfg.observe.tell(a.event(Waiting, m.Name(), err))
	return m.Lock(ctx)
}

func heldBy(a attempt, err error) bool {
	var refusal *redlock.Error
	return errors.As(err, &refusal) && a.holds(refusal.Holder)
}
