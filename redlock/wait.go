package redlock

import (
	"context"
	"errors"
	"time"
)

// await acquires. It waits in line and asks again while waiting may change the outcome.
func (t *target) await(ctx context.Context, a *acquisition) (*Lease, error) {
	t.locker.beginCall() // until this call is out of line again
	defer t.locker.endCall()
	w, err := t.locker.queue.Enter(ctx, t.name, t.cfg.nodeTimeout, t.cfg.ttl)
	served := false
	if err == nil {
		defer func() { w.Leave(served) }()
		if err = t.locker.stopped(ctx); err == nil {
			err = w.Yield(ctx)
		}
	}
	if err != nil {
		ended := t.fail(a.op, a.tick, nil, err)
		ended.Detail = "it was still in line and had asked no node"
		return nil, ended
	}
	a.waits = true
	var before error // the previous refusal
	for try := 0; ; try++ {
		lease, err := t.acquire(ctx, a)
		if a.tried != nil {
			a.tried(err)
		}
		if err == nil {
			served = true
			return lease, nil
		}
		holder, mayChange := worthWaiting(err)
		if mayChange && ctx.Err() == nil {
			_ = w.Wait(ctx, holder, max(t.cfg.backoff(try), time.Millisecond))
		}
		switch gone := ctx.Err(); {
		// The observer was told that the call asks again, so tell it that it no longer does.
		case gone != nil && a.reportedRetry() && !errors.Is(err, gone):
			return nil, whileWaiting(t.refuse(a, nil, gone), err)
		case gone != nil && !errors.Is(err, gone):
			return nil, whileWaiting(t.fail(a.op, a.tick, nil, gone), err)
		case gone != nil && before != nil:
			return nil, whileWaiting(err, before)
		case gone != nil || !mayChange:
			return nil, err
		}
		before = err
	}
}

// worthWaiting reports whether a refusal may end by itself, and returns the holder's token if it is known.
func worthWaiting(err error) (holder string, ok bool) {
	refusal := refusalOf(err)
	if refusal.Reason == ErrTaken {
		return refusal.Holder, true
	}
	return "", refusal.lacksQuorum()
}
