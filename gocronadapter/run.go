package gocronadapter

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/gocronadapter/internal/standby"
	"github.com/redtick/redtick/redlock"
)

// run is one run of a job. It is the gocron.Lock that gocron unlocks when the run is over.
type run struct {
	job       context.Context // identifies the job
	lease     *redlock.Lease
	locker    *Locker
	state     *jobState    // nil when the Locker is not attached
	tick      *standby.Run // nil unless the job's ticks are taken over
	triggered bool         // by WithTriggers, so the job does not rest after it
	began     time.Time    // when the lease was granted

	begun atomic.Bool               // its Task has begun
	ended atomic.Pointer[time.Time] // when its task ended, if that is known
}

// Unlock is called by gocron when the run is over, with a context that
// Shutdown and RemoveJob have already cancelled.
func (r *run) Unlock(ctx context.Context) error {
	handOver.drop(r)
	defer r.locker.noteEnd()
	if s := r.state; s != nil {
		defer s.current.CompareAndSwap(r, nil)
		if r.begun.Load() {
			s.tasked.Store(true)
		} else if s.tasked.Load() {
			return r.veto(ctx)
		}
	}
	if r.rests(ctx) {
		r.rest()
		return nil
	}
	return r.end(ctx)
}

// taskEnded notes the time. It is called before gocron learns that the task has ended.
func (r *run) taskEnded() {
	now := r.locker.clock.Now()
	r.ended.Store(&now)
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
	event := redlock.Event{Kind: redlock.Refused, Name: r.state.name, Tick: r.lease.Tick(), Token: r.lease.Token()}
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

// rests reports whether the job rests after this run, because its interval counts
// from the end of a run. gocron has no method for that, but its LastRun shows it: it
// is set before the task begins, or, for such a job, once the task has ended.
func (r *run) rests(ctx context.Context) bool {
	s := r.state
	if s == nil || r.triggered || r.lease.Tick().IsZero() {
		return false
	}
	if known := s.resting.Load(); known != nil {
		return *known
	}
	now, interval := s.locker.clock.Now(), s.interval()
	took := now.Sub(r.began)
	if took < interval/200 || interval == 0 { // the spacing makes up for runs that short
		return false
	}
	if (wall(now).Sub(wall(r.began)) - took).Abs() > took/10 {
		return false // the wall clock, by which gocron sets LastRun, was changed meanwhile; the next run will show
	}
	ended := r.ended.Load()
	if ended == nil { // the user's listener took the place of this package's
		ended = new(now.Add(-took / 10))
	}
	noted, err := askBusy(ctx, s.job.LastRun) //nolint:staticcheck // LastRunStartedAt, its successor, is always the start of the run
	if err != nil || noted.Before(r.began) {
		return false
	}
	rests := !noted.Before(*ended)
	s.resting.Store(&rests)
	return rests
}

// interval returns the job's interval, or 0 if gocron.WithIntervalFromCompletion
// does not apply to it.
func (s *jobState) interval() time.Duration {
	switch d := s.job.Schedule().(type) {
	case gocron.DurationJobSchedule:
		return d.Duration
	case gocron.DurationRandomJobSchedule:
		return d.Min
	}
	return 0
}

// rest keeps the lock for nine tenths of the interval after the run, so that no
// other replica begins earlier. Under take-over the tick counts as done only once
// the lock is released, so there the rest ends with the job. No goroutine waits, so
// none outlives Shutdown.
func (r *run) rest() {
	d := r.state.interval()
	rest, cancel := context.WithTimeout(r.lease.Context(), d-d/10)
	stop := func() bool { return false }
	if r.tick != nil {
		stop = context.AfterFunc(r.job, cancel)
	}
	context.AfterFunc(rest, func() {
		stop()
		cancel()
		_ = r.end(context.Background()) // redlock reports a loss; Unlock is bounded by the node timeout
	})
}
