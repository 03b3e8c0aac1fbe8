package gocronadapter

import (
	"context"
	"fmt"
	"time"

	"github.com/redtick/redtick/gocronadapter/internal/standby"
	"github.com/redtick/redtick/redlock"
)

// run is one run of a job, which gocron unlocks when it is over.
type run struct {
	job    context.Context // identifies the job that holds the lease; nothing is derived from it here
	name   string
	lease  *redlock.Lease
	locker *Locker
	state  *jobState    // nil when the Locker is not attached
	tick   *standby.Run // nil unless the job's ticks are taken over
	byHand bool         // it was triggered, so the job does not rest after it
	began  time.Time    // when it was granted
	ended  time.Time    // when its task did, if that is known; guarded by the state's mu
	begun  bool         // guarded by handOver
}

// Unlock is called by gocron when the run is over, with a context that
// Shutdown and RemoveJob have already cancelled.
func (r *run) Unlock(ctx context.Context) error {
	begun := handOver.drop(r)
	defer r.locker.noteEnd()
	if r.state != nil && r.state.vetoed(begun) {
		return r.veto(ctx)
	}
	if r.rests(ctx) {
		go r.rest() //nolint:gosec // it outlives ctx, which ends with the job
		return nil
	}
	return r.end(ctx)
}

// taskEnded is called before gocron is told.
func (r *run) taskEnded() {
	if s := r.state; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		r.ended = s.locker.clock.Now()
	}
}

func (r *run) end(ctx context.Context) error {
	err := r.lease.Unlock(ctx)
	if r.tick != nil {
		r.tick.End(err == nil)
	}
	return err
}

// veto ends a run whose task gocron has not begun, because a
// BeforeJobRunsSkipIfBeforeFuncErrors of this replica returned an error. Under
// take-over the tick is for the other replicas, so this one must not stand by.
func (r *run) veto(ctx context.Context) error {
	event := redlock.Event{Kind: redlock.Refused, Name: r.name, Tick: r.lease.Tick(), Token: r.lease.Token()}
	defer func() { r.locker.locker.Report(event) }()
	if r.tick == nil {
		event.Err = fmt.Errorf("%w: BeforeJobRunsSkipIfBeforeFuncErrors returned an error once the tick was claimed, so no replica runs it; use redlock.WithTakeover to have another one run it",
			ErrVetoed)
		return r.end(ctx)
	}
	event.Err = fmt.Errorf("%w: BeforeJobRunsSkipIfBeforeFuncErrors returned an error, so the tick is left to the other replicas", ErrVetoed)
	err := r.lease.Abandon(ctx)
	r.tick.End(true)
	return err
}
