package standby

import (
	"context"
	"errors"
	"time"

	"github.com/redtick/redtick/redlock"
)

// Job claims ticks under redlock.WithTakeover. Claim never waits. Await waits
// until the tick is over or can be taken over. Start starts runs of the job,
// each of which calls [Queue.Accept], until accepted is closed or ctx ends.
type Job interface {
	Claim(ctx context.Context, tick time.Time) (*redlock.Lease, error)
	Await(ctx context.Context, tick time.Time) (*redlock.Lease, error)
	Start(ctx context.Context, accepted <-chan struct{})
}

// ErrBehind refuses a run because earlier ticks of the job run, or stand by, on
// this replica.
var ErrBehind = errors.New("standby: earlier ticks are not over")

// Claim claims the first tick of the queue that is not over. If that is held
// elsewhere, it and the ticks behind it stand by until ctx, the job's own context,
// ends. The error is ErrBehind or one of the Job's.
func (q *Queue) Claim(ctx context.Context) (*Run, error) {
	if !q.led.CompareAndSwap(false, true) {
		return nil, ErrBehind
	}
	over := ErrBehind
	for {
		tick, active := q.first()
		switch {
		case tick.IsZero():
			return nil, over
		case active != nil:
			go q.standBy(ctx)
			return nil, ErrBehind
		}
		lease, err := q.job.Claim(ctx, tick)
		switch {
		case err == nil:
			run := q.begin(tick, lease)
			go q.standBy(ctx)
			return run, nil
		case ctx.Err() == nil && (errors.Is(err, redlock.ErrTaken) || errors.Is(err, redlock.ErrNoQuorum)):
			go q.standBy(ctx)
			return nil, err
		}
		q.remove(tick)
		over = err
	}
}

// standBy leads the queue until it is empty or the job ends. It waits until the
// first tick is over, or takes it over when its holder dies. It watches runs of
// this replica too, since they may lose their lease.
func (q *Queue) standBy(ctx context.Context) {
	for ctx.Err() == nil {
		tick, active := q.first()
		if tick.IsZero() {
			return
		}
		if active != nil {
			active.wait(ctx)
			continue
		}
		lease, err := q.job.Await(ctx, tick)
		switch {
		case err == nil:
			q.startRun(ctx, tick, lease)
		case ctx.Err() == nil:
			q.remove(tick) // the tick is over, or too old; redlock's observer knows
		}
	}
}

// startRun starts runs of the job until one accepts the lease. If none does, because
// the scheduler is busy, stopped or drops runs, the tick must neither be kept from
// the other replicas nor be marked as done: the lease is abandoned, and this replica
// waits for a while before it asks again.
func (q *Queue) startRun(ctx context.Context, tick time.Time, lease *redlock.Lease) {
	validity := time.Until(lease.ValidUntil())
	r := &Run{Lease: lease, queue: q, tick: tick, accepted: make(chan struct{}), over: make(chan struct{})}
	q.offer(r)
	held, stop := lease.Bind(ctx)
	defer stop()
	limited, cancel := context.WithTimeout(held, validity)
	defer cancel()
	q.job.Start(limited, r.accepted)
	if !q.offer(nil) {
		return // a run has it
	}
	_ = lease.Abandon(ctx) // a failure is an event
	select {
	case <-time.After(validity + validity/4):
	case <-ctx.Done():
	}
}
