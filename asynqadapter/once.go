package asynqadapter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// OncePerTick drops duplicates of a tick, for fleets whose replicas each run a
// stock asynq.Scheduler with a [Stamp]: of all tasks with one key and one
// tick, one is run. That one, known by its task ID, may be retried and run
// again by asynq; the others end as if they had been done. Ticks may come in
// any order and up to a day late; redlock.WithRetention through [WithMutex]
// changes that.
//
// What becomes of a task that is not run:
//   - another task has the tick: dropped;
//   - another task is ahead but not known to have it, or there is no quorum:
//     sent back as with [Requeue];
//   - the tick is older than the retention, so nobody knows whether it ran:
//     archived, where an operator sees it;
//   - the tick lies too far ahead of the nodes' clocks: a failure, retried by asynq.
//
// A task without a tick is run like any other, with one [Unstamped] event per
// task type. When the task that has the tick runs out of retries, its
// duplicates are gone: a tick has the retries of one task, not of all.
//
// redlock.WithTakeover is refused: a worker that dies is followed by asynq's
// own delivery of the same task.
//
// It knows [WithKey], [WithRequeueDelay], [WithMutex] and [WithObserver]. The
// middleware is safe for concurrent use.
func OncePerTick(locker *redlock.Locker, opts ...Option) (asynq.MiddlewareFunc, error) {
	known := []string{"WithKey", "WithRequeueDelay", "WithMutex", "WithObserver"}
	cfg, err := newConfig("OncePerTick", known, opts)
	if err != nil {
		return nil, err
	}
	g, err := newGuard(locker, cfg, redlock.WithAnyOrder())
	if err != nil {
		return nil, err
	}
	o := &once{guard: g}
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			return o.process(ctx, attemptOf(ctx, task), next)
		})
	}, nil
}

type once struct {
	*guard
	unstamped sync.Map // task types that were reported
}

func (o *once) process(ctx context.Context, a attempt, next asynq.Handler) error {
	tick, ok := TickOf(a.task)
	if !ok {
		if _, known := o.unstamped.LoadOrStore(a.task.Type(), true); !known {
			o.cfg.observe.tell(a.event(Unstamped, "", nil))
		}
		return next.ProcessTask(ctx, a.task)
	}
	key, err := o.key(ctx, a.task)
	if err != nil {
		return err
	}
	// A name per tick, so that ticks of one job may run side by side, as their tasks would.
	m, err := o.job(withTick(key, tick), redlock.WithOwner(a.owner()), redlock.WithHolder(a.holder()))
	if err != nil {
		return err
	}
	lease, err := o.claim(ctx, m, tick, a)
	if err != nil {
		return o.turnAway(ctx, m.Name(), tick, a, err)
	}
	return o.run(ctx, lease, m.Name(), a, next)
}

// claim waits only where the task cannot be sent back.
func (o *once) claim(ctx context.Context, m *redlock.Job, tick time.Time, a attempt) (*redlock.Lease, error) {
	told := false
	for {
		lease, err := m.Claim(ctx, tick)
		if !a.last || !undecided(err) || errors.Is(err, redlock.ErrClosed) || ctx.Err() != nil {
			return lease, err
		}
		if !told {
			o.cfg.observe.tell(a.event(Waiting, m.Name(), err))
			told = true
		}
		pause(ctx, 100*time.Millisecond+rand.N(200*time.Millisecond))
	}
}

func (o *once) turnAway(ctx context.Context, name string, tick time.Time, a attempt, err error) error {
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, redlock.ErrTickDone):
		o.tell(Dropped, name, tick, a, err)
		return nil
	case errors.Is(err, redlock.ErrTickStale):
		o.tell(Stale, name, tick, a, err)
		return fmt.Errorf("%w: %w", asynq.SkipRetry, err)
	case undecided(err) && !a.last:
		return o.sendBack(a, name, err)
	}
	return err
}

func (o *once) tell(kind EventKind, name string, tick time.Time, a attempt, err error) {
	event := a.event(kind, name, err)
	event.Tick = tick
	o.cfg.observe.tell(event)
}

// pause returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
