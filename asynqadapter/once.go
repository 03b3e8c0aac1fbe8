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
	g, err := newGuard(locker, Dropped, opts, OnceOption.once)
	if err != nil {
		return nil, err
	}
	g.cfg.busy, g.cfg.maxWait = Skip, 0
	o := &once{guard: g, unstamped: map[string]bool{}}
	if _, _, err := o.jobs("check", delivery{}); err != nil { // now, not when the first task comes
		return nil, err
	}
	return middleware(o.process), nil
}

type once struct {
	*guard
	mu        sync.Mutex
	unstamped map[string]bool // task types reported as Unstamped
}

// maxUnstamped bounds the task types that are reported, since some programs put IDs
// into them.
const maxUnstamped = 100

// jobs returns the two jobs of one tick of one key. The claim of the first one assigns
// the tick to a task, which may claim it again. As a task ID may be used twice, that
// does not prove what the task did. So the claim of the second one says whether the
// tick is running or done.
//
// name includes the tick, so that ticks of one key may run side by side. There is no
// history, as it would be of one tick and outlive it by weeks.
func (o *once) jobs(name string, d delivery) (task, work *redlock.Job, err error) {
	opts := slices.Concat([]redlock.JobOption{redlock.WithRetention(redlock.DefaultAnyOrderRetention), redlock.WithHistory(0)},
		o.cfg.job, []redlock.JobOption{redlock.WithHolder(d.holder())})
	task, err1 := o.locker.NewJob(name, slices.Concat(opts, []redlock.JobOption{redlock.WithAnyOrder(), redlock.WithOwner(d.owner())})...)
	work, err2 := o.locker.NewJob(name, slices.Concat(opts, []redlock.JobOption{redlock.WithTakeover()})...)
	return task, work, errors.Join(err1, err2)
}

func (o *once) process(ctx context.Context, d delivery, next asynq.Handler) error {
	if d.tick.IsZero() {
		o.mu.Lock()
		kind := d.task.Type()
		first := !o.unstamped[kind] && len(o.unstamped) < maxUnstamped
		if first {
			o.unstamped[kind] = true
		}
		o.mu.Unlock()
		if first {
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
	try := func(ctx context.Context) (*redlock.Lease, error) {
		assigned, err := task.Claim(ctx, d.tick)
		if err != nil {
			return nil, err
		}
		_ = assigned.Unlock(ctx) // the tick stays assigned to the task
		return work.Claim(ctx, d.tick)
	}
	wait := func(ctx context.Context) (*redlock.Lease, error) {
		for {
			pause(ctx, 100*time.Millisecond+rand.N(200*time.Millisecond))
			if lease, err := try(ctx); !undecided(err) || errors.Is(err, redlock.ErrClosed) || ctx.Err() != nil {
				return lease, err
			}
		}
	}
	return o.serve(ctx, d, work.Name(), try, wait, next)
}
