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

// OncePerTick drops duplicates of a tick, for fleets whose replicas each run a
// stock asynq.Scheduler with a [Stamp]: of all tasks with one key and one
// tick, one is run. That one, known by its queue and task ID, may be retried and
// run again by asynq until its handler has returned nil; then the tick is done
// for all tasks, that one included. The others end as if they had been done.
// Ticks may come in any order and up to a day late; redlock.WithRetention
// through [WithJob] changes that, that of the Locker does not.
//
// What becomes of a task that is not run:
//   - another task has the tick, or it is done: dropped;
//   - there is no quorum: sent back as with [Requeue];
//   - the tick is older than the retention, so nobody knows whether it ran, or
//     the key is refused: archived, where an operator sees it;
//   - the tick lies too far ahead of the nodes' clocks: a failure, retried by asynq.
//
// A task without a tick is run like any other, with one [Unstamped] event for
// each of the first 100 task types. When the task that has the tick runs out of retries, its
// duplicates are gone: a tick has the retries of one task, not of all.
//
// Two schedules of one type and payload have one tick where they coincide;
// [WithKey] can tell them apart.
//
// The handler's context carries the lease (redlock.LeaseFrom); as with
// [Middleware] it ends when the lease is lost, and may come from OncePerTick
// already. redlock.WithTakeover is refused: a worker that dies is followed by
// asynq's own delivery of the same task.
//
// Each tick of a key is a name of its own, so redtick pause with the key does
// nothing; pause the queue (asynq.Inspector.PauseQueue).
//
// Events go to the locker's observer. The middleware is safe for concurrent use.
func OncePerTick(locker *redlock.Locker, opts ...OnceOption) (asynq.MiddlewareFunc, error) {
	cfg, err := newGuardConfig(opts, OnceOption.once)
	if err != nil {
		return nil, err
	}
	if locker == nil {
		return nil, invalid("locker is nil; make one with redlock.New")
	}
	o := &once{guard: guard{locker: locker, cfg: cfg}, unstamped: map[string]bool{}}
	if _, _, err := o.jobs("check", attempt{}); err != nil {
		return nil, err // rather than when the first task comes
	}
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			return o.process(ctx, attemptOf(ctx, task), next)
		})
	}, nil
}

type once struct {
	guard
	mu        sync.Mutex
	unstamped map[string]bool // task types that were reported
}

// maxUnstamped bounds the task types that are reported: some programs put a user's ID into them.
const maxUnstamped = 100

// isNewType reports whether tasks of a type are to be reported as unstamped.
func (o *once) isNewType(kind string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unstamped[kind] || len(o.unstamped) == maxUnstamped {
		return false
	}
	o.unstamped[kind] = true
	return true
}

// jobs are the two sides of one tick of one key. A claim of the first says
// which task the tick is for; a task may claim it again. That proves nothing
// about what the task did, since an ID may be used twice, so the second says
// whether the tick's work is going on or done.
//
// The name has the tick in it, so that ticks of one key may run side by side, as their tasks would. So a history would be
// of one tick, and outlive it by weeks.
func (o *once) jobs(name string, a attempt) (task, work *redlock.Job, err error) {
	first := []redlock.JobOption{redlock.WithHolder(a.holder()), redlock.WithRetention(redlock.DefaultAnyOrderRetention), redlock.WithHistory(0)}
	task, err1 := o.locker.NewJob(name, slices.Concat(first, o.cfg.job, []redlock.JobOption{redlock.WithAnyOrder(), redlock.WithOwner(a.owner())})...)
	work, err2 := o.locker.NewJob(name, slices.Concat(first, o.cfg.job, []redlock.JobOption{redlock.WithTakeover()})...)
	return task, work, errors.Join(err1, err2)
}

func (o *once) process(ctx context.Context, a attempt, next asynq.Handler) error {
	if a.tick.IsZero() {
		if o.isNewType(a.task.Type()) {
			o.report(a, Unstamped, "", invalid("the task has no tick; register it with Stamp.Register"))
		}
		return next.ProcessTask(ctx, a.task)
	}
	key := o.cfg.key(ctx, a.task)
	if key == "" {
		return o.refuse(a, key, invalid("key of a task of type %q is empty; let the function passed to WithKey return a name", a.task.Type()))
	}
	task, work, err := o.jobs(withTick(key, a.tick), a)
	if err != nil {
		return o.refuse(a, key, err)
	}
	lease, err := o.claim(ctx, task, work, a)
	switch {
	case err == nil:
		return o.work(ctx, lease, a, next)
	case covered(ctx, err):
		return next.ProcessTask(ctx, a.task)
	}
	return o.turnAway(ctx, work.Name(), a, err)
}

// work ends the tick when the handler says that it is over. After an error or
// a panic asynq delivers the task again.
func (o *once) work(ctx context.Context, lease *redlock.Lease, a attempt, next asynq.Handler) (err error) {
	over := false
	defer func() {
		// The Locker's observer hears of a release that no majority confirmed.
		if over {
			_ = lease.Unlock(ctx)
		} else {
			_ = lease.Abandon(ctx)
		}
	}()
	err = o.run(ctx, lease, a, next)
	over = err == nil || errors.Is(err, asynq.RevokeTask)
	return err
}

// claim waits only where the task cannot be sent back.
func (o *once) claim(ctx context.Context, task, work *redlock.Job, a attempt) (*redlock.Lease, error) {
	told := false
	for {
		lease, err := claimBoth(ctx, task, work, a.tick)
		if !a.last || !undecided(err) || covered(ctx, err) || errors.Is(err, redlock.ErrClosed) || ctx.Err() != nil {
			return lease, err
		}
		if !told {
			o.report(a, Waiting, work.Name(), err)
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
	_ = lease.Unlock(ctx) // whose the tick is stays known
	return work.Claim(ctx, tick)
}

func (o *once) turnAway(ctx context.Context, name string, a attempt, err error) error {
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, redlock.ErrTickDone), heldByAnother(a, err):
		o.report(a, Dropped, name, err)
		return nil
	case errors.Is(err, redlock.ErrTickStale):
		return o.refuse(a, name, err)
	case undecided(err) && !a.last:
		return o.sendBack(a, name, err)
	}
	return err
}
