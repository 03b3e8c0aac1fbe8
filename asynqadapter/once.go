package asynqadapter

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// OncePerTick returns a middleware that drops duplicates of a tick, for fleets whose
// replicas each run a stock asynq.Scheduler with a [Stamp]. Of all tasks with the same
// key and tick it runs one, identified by its queue and task ID. asynq may retry that
// task until its handler returns nil; then the tick is done for all tasks. The others
// end as if they were done. Ticks may come in any order and up to a day late;
// redlock.WithRetention in [WithJob] changes the day, the Locker's does not.
//
// A task is not run in these cases:
//   - another task has the tick, or the tick is done: the task is dropped;
//   - there is no quorum: it is sent back as with [Requeue];
//   - the tick is older than the retention, so whether it ran is unknown, or the key
//     is invalid: it is archived, for an operator to see;
//   - the tick is too far ahead of the nodes' clocks: it fails, and asynq retries it.
//
// A task without a tick is always run, with one [Unstamped] event for each of the
// first 100 task types. When the task that has the tick runs out of retries, its
// duplicates are gone: a tick has the retries of one task only.
//
// Two schedules of the same type and payload share a tick when they coincide;
// [WithKey] can tell them apart.
//
// The handler's context is as with [Middleware], and carries the tick
// (redlock.TickFrom). As there, applying the middleware twice is harmless.
// redlock.WithTakeover is refused: when a worker dies, asynq delivers its task again.
//
// Each tick of a key has a name of its own, so redtick pause with the key has no
// effect; pause the queue instead (asynq.Inspector.PauseQueue).
//
// Events go to the locker's observer. Errors of OncePerTick match
// redlock.ErrInvalid. The middleware is safe for concurrent use.
func OncePerTick(locker *redlock.Locker, opts ...OnceOption) (asynq.MiddlewareFunc, error) {
	cfg, err := newGuardConfig(opts, OnceOption.once)
	if err != nil {
		return nil, err
	}
	if locker == nil {
		return nil, invalid("locker is nil; make one with redlock.New")
	}
	o := &once{guard: guard{locker: locker, cfg: cfg}, unstamped: map[string]bool{}}
	if _, _, err := o.jobs("check", delivery{}); err != nil {
		return nil, err // now, not when the first task comes
	}
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			return o.process(ctx, deliveryOf(ctx, task), next)
		})
	}, nil
}

type once struct {
	guard
	mu        sync.Mutex
	unstamped map[string]bool // task types reported as Unstamped
}

// maxUnstamped bounds the task types that are reported, since some programs put IDs
// into them.
const maxUnstamped = 100

// markUnstamped reports whether the task type is to be reported as unstamped, and
// remembers it.
func (o *once) markUnstamped(kind string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unstamped[kind] || len(o.unstamped) == maxUnstamped {
		return false
	}
	o.unstamped[kind] = true
	return true
}

// jobs returns the two jobs of one tick of one key. The claim of the first one assigns
// the tick to a task, which may claim it again. As a task ID may be used twice, that
// does not prove what the task did. So the claim of the second one says whether the
// tick is running or done.
//
// name includes the tick, so that ticks of one key may run side by side. There is no
// history, as it would be of one tick and outlive it by weeks.
func (o *once) jobs(name string, d delivery) (task, work *redlock.Job, err error) {
	first := []redlock.JobOption{redlock.WithHolder(d.holder()), redlock.WithRetention(redlock.DefaultAnyOrderRetention), redlock.WithHistory(0)}
	task, err1 := o.locker.NewJob(name, slices.Concat(first, o.cfg.job, []redlock.JobOption{redlock.WithAnyOrder(), redlock.WithOwner(d.owner())})...)
	work, err2 := o.locker.NewJob(name, slices.Concat(first, o.cfg.job, []redlock.JobOption{redlock.WithTakeover()})...)
	return task, work, errors.Join(err1, err2)
}

func (o *once) process(ctx context.Context, d delivery, next asynq.Handler) error {
	if d.tick.IsZero() {
		if o.markUnstamped(d.task.Type()) {
			o.report(d, Unstamped, "", invalid("the task has no tick; register it with Stamp.Register"))
		}
		return next.ProcessTask(ctx, d.task)
	}
	key := o.cfg.key(ctx, d.task)
	if key == "" {
		return o.refuse(d, key, invalid("key of a task of type %q is empty; let the function passed to WithKey return a name", d.task.Type()))
	}
	task, work, err := o.jobs(withTick(key, d.tick), d)
	if err != nil {
		return o.refuse(d, key, err)
	}
	lease, err := o.claim(ctx, task, work, d)
	switch {
	case err == nil:
		return o.work(ctx, lease, d, next)
	case covered(ctx, err):
		return next.ProcessTask(ctx, d.task)
	}
	return o.reject(ctx, work.Name(), d, err)
}

// work runs the handler. The tick is done when the handler succeeds or revokes the
// task. After another error or a panic asynq delivers the task again.
func (o *once) work(ctx context.Context, lease *redlock.Lease, d delivery, next asynq.Handler) (err error) {
	done := false
	defer func() {
		// The Locker's observer is told of a release that no majority confirmed.
		if done {
			_ = lease.Unlock(ctx)
		} else {
			_ = lease.Abandon(ctx)
		}
	}()
	err = o.run(ctx, lease, d, next)
	done = err == nil || errors.Is(err, asynq.RevokeTask)
	return err
}

// claim claims the tick. It waits only for a task that cannot be sent back.
func (o *once) claim(ctx context.Context, task, work *redlock.Job, d delivery) (*redlock.Lease, error) {
	told := false
	for {
		lease, err := claimBoth(ctx, task, work, d.tick)
		if !d.last || !undecided(err) || covered(ctx, err) || errors.Is(err, redlock.ErrClosed) || ctx.Err() != nil {
			return lease, err
		}
		if !told {
			o.report(d, Waiting, work.Name(), err)
			told = true
		}
		pause(ctx, 100*time.Millisecond+rand.N(200*time.Millisecond))
	}
}

func claimBoth(ctx context.Context, task, work *redlock.Job, tick time.Time) (*redlock.Lease, error) {
	lease, err := task.Claim(ctx, tick)
	if err != nil {
		return nil, err
	}
	_ = lease.Unlock(ctx) // the tick stays assigned to the task
	return work.Claim(ctx, tick)
}

func (o *once) reject(ctx context.Context, name string, d delivery, err error) error {
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, redlock.ErrTickDone), heldByAnother(d, err):
		o.report(d, Dropped, name, err)
		return nil
	case errors.Is(err, redlock.ErrTickStale):
		return o.refuse(d, name, err)
	case undecided(err) && !d.last:
		return o.sendBack(d, name, err)
	}
	return err
}
