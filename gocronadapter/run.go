package gocronadapter

import (
	"context"
	"fmt"
	"time"

	"github.com/redtick/redtick/gocronadapter/internal/standby"
	"github.com/redtick/redtick/redlock"
)

// run is one run of a job. It is the gocron.Lock that gocron unlocks when the run is over.
type run struct {
	job       context.Context // identifies the job
	name      string
	lease     *redlock.Lease
	locker    *Locker
	state     *jobState     // nil when the Locker is not attached
	tick      *standby.Run  // nil unless the job's ticks are taken over
	triggered bool          // by WithTriggers, so the job does not rest after it
	began     time.Time     // when the lease was granted
	ended     time.Time     // when its task ended, if that is known; guarded by state.mu
	unlocked  chan struct{} // closed when gocron has unlocked it, for one who waits, else nil; guarded by state.mu
	begun     bool          // its Task has begun; guarded by handOver.mu
}

// Unlock is called by gocron when the run is over, with a context that
// Shutdown and RemoveJob have already cancelled.
func (r *run) Unlock(ctx context.Context) error {
	begun := handOver.drop(r)
	defer r.locker.noteEnd()
	if r.state != nil {
		defer r.state.noteUnlock(r)
		if r.state.vetoed(begun) {
			return r.veto(ctx)
		}
	}
	if r.rests(ctx) {
		go r.rest() //nolint:gosec // it outlives ctx, which ends with the job
		return nil
	}
	return r.end(ctx)
}

// taskEnded notes the time. It is called before gocron learns that the task has ended.
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
// take-over the tick is left to the other replicas, so this one does not stand by.
func (r *run) veto(ctx context.Context) error {
	event := redlock.Event{Kind: redlock.Refused, Name: r.name, Tick: r.lease.Tick(), Token: r.lease.Token()}
	defer func() { r.locker.locker.Report(event) }()
	if r.tick == nil {
		event.Err = fmt.Errorf("%w: BeforeJobRunsSkipIfBeforeFuncErrors returned an error after the tick was claimed, so no replica runs it; use redlock.WithTakeover to have another one run it",
			ErrVetoed)
		return r.end(ctx)
	}
	event.Err = fmt.Errorf("%w: BeforeJobRunsSkipIfBeforeFuncErrors returned an error, so the tick is left to the other replicas", ErrVetoed)
	err := r.lease.Abandon(ctx)
	r.tick.End(true)
	return err
}
