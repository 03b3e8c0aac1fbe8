package cronadapter

import (
	"context"
	"errors"
	"time"

	"github.com/redtick/redtick/redlock"
)

// run is one run of one tick.
type run struct {
	a    *Adapter
	name string
	tick time.Time
}

// under claims the tick and runs f while the lease is held.
func (r run) under(m *redlock.Job, f func(ctx context.Context) error) {
	if r.tick.IsZero() {
		r.fail(errNotDue, "not run")
		return
	}
	lease, err := m.Await(r.a.ctx, r.tick)
	if err != nil {
		r.refused(err)
		return
	}
	// Deferred, so that a panic gives the lease back on its way to cron.Recover.
	defer r.release(lease, r.watch(lease))
	ctx, stop := lease.Bind(context.WithValue(r.a.ctx, leaseKey{}, lease))
	defer stop()
	if err := f(ctx); err != nil {
		r.fail(err, "job failed")
	}
}

// refused tells a tick that runs elsewhere from one that may run nowhere.
func (r run) refused(err error) {
	var why *redlock.Error
	switch {
	case r.a.ctx.Err() != nil:
		r.skip(ErrStopped, "")
	case errors.As(err, &why) && (errors.Is(err, redlock.ErrTickDone) || errors.Is(err, redlock.ErrTaken)):
		r.skip(why.Reason, redlock.HolderOf(why.Holder))
	default:
		r.fail(err, "not run")
	}
}

// watch tells a loss when it happens, since the job may take long to heed it.
// What it returns ends the watch; it is true when the lease had not ended.
func (r run) watch(lease *redlock.Lease) (unwatch func() bool) {
	held := lease.Context()
	return context.AfterFunc(held, func() {
		// Otherwise the job itself has unlocked or detached it.
		if err := context.Cause(held); errors.Is(err, redlock.ErrLost) {
			r.fail(err, "lease lost, job was told")
		}
	})
}

func (r run) release(lease *redlock.Lease, unwatch func() bool) {
	held := unwatch()
	if err := lease.Unlock(r.a.ctx); err != nil && (held || !errors.Is(err, redlock.ErrLost)) {
		r.fail(err, "lease not given back")
	}
}

func (r run) skip(reason error, holder string) {
	r.a.cfg.logger.Info("skip", "job", r.name, "tick", r.tick.UTC(), "reason", reason, "holder", holder)
}

func (r run) fail(err error, what string) {
	if r.tick.IsZero() {
		r.a.cfg.logger.Error(err, what, "job", r.name)
		return
	}
	r.a.cfg.logger.Error(err, what, "job", r.name, "tick", r.tick.UTC())
}
