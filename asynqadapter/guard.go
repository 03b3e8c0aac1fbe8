package asynqadapter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// guard is what the two middlewares share: the lease around a handler, and
// what becomes of a task that gets none.
type guard struct {
	locker   *redlock.Locker
	cfg      config
	requeues requeues
}

// newGuard checks the options that are only used when a task comes.
func newGuard(locker *redlock.Locker, cfg config, always ...redlock.JobOption) (*guard, error) {
	if locker == nil {
		return nil, invalid("locker is nil; make one with redlock.New")
	}
	cfg.mutex = append(append([]redlock.JobOption{}, cfg.mutex...), always...)
	if _, err := locker.NewJob("check", cfg.mutex...); err != nil {
		return nil, err
	}
	return &guard{locker: locker, cfg: cfg}, nil
}

func (g *guard) key(ctx context.Context, task *asynq.Task) (string, error) {
	key := g.cfg.key(ctx, task)
	if key == "" {
		return "", invalid("key of a task of type %q is empty; let the function passed to WithKey return a name", task.Type())
	}
	return key, nil
}

func (g *guard) job(name string, opts ...redlock.JobOption) (*redlock.Job, error) {
	return g.locker.NewJob(name, append(opts, g.cfg.mutex...)...)
}

// mutex takes the options that mean something for a lock.
func (g *guard) mutex(name string, opts ...redlock.MutexOption) (*redlock.Mutex, error) {
	for _, o := range g.cfg.mutex {
		if o, ok := o.(redlock.MutexOption); ok {
			opts = append(opts, o)
		}
	}
	return g.locker.NewMutex(name, opts...)
}

// run calls the handler under the lease. Its deferred steps free the lease
// when the handler panics too.
func (g *guard) run(ctx context.Context, lease *redlock.Lease, name string, a attempt, next asynq.Handler) (err error) {
	defer func() {
		if lost := lease.Unlock(ctx); lost != nil {
			g.cfg.observe.tell(a.event(Lost, name, lost))
		}
	}()
	if err := ctx.Err(); err != nil {
		return err // asynq has given the task to somebody else by now
	}
	held, stop := lease.Bind(context.WithValue(ctx, leaseKey{}, lease))
	defer stop()
	err = next.ProcessTask(held, a.task)
	if cause := context.Cause(held); err != nil && errors.Is(cause, redlock.ErrLost) {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}

// sendBack is the error for a task that shall come again.
func (g *guard) sendBack(a attempt, name string, reason error) error {
	if g.requeues.count(time.Now()) {
		g.cfg.observe.tell(a.event(Unconfigured, name, errors.New(
			"a task that was sent back spent a retry: pass asynqadapter.Configure(cfg) to asynq.NewServer")))
	}
	e := &RequeueError{Name: name, After: spread(g.cfg.requeueDelay), Err: reason, from: &g.requeues}
	event := a.event(Requeued, name, reason)
	event.After = e.After
	g.cfg.observe.tell(event)
	return e
}

// undecided tells whether a task that got no lease for err may get one later.
func undecided(err error) bool {
	return errors.Is(err, redlock.ErrTaken) || errors.Is(err, redlock.ErrNoQuorum) || errors.Is(err, redlock.ErrClosed)
}

type leaseKey struct{}

// LeaseFrom returns the lease that a middleware of this package runs the
// handler under, the inner one when there are two: for Fence, ValidUntil and
// Token. Unlock is the middleware's.
func LeaseFrom(ctx context.Context) (lease *redlock.Lease, ok bool) {
	lease, ok = ctx.Value(leaseKey{}).(*redlock.Lease)
	return lease, ok
}
