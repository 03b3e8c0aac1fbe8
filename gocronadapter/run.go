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
	extra     bool         // gocron has planned nothing after it
	began     time.Time    // when the lease was granted

	begun   atomic.Bool               // its Task has begun
	ended   atomic.Pointer[time.Time] // when its task ended, if that is known
	unnoted atomic.Bool               // at the end of the task, gocron's LastRun was not this run
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
	if r.rests() {
		r.rest()
		return nil
	}
	return r.end(ctx)
}

// taskEnded is called before gocron learns that the task has ended.
func (r *run) taskEnded() {
	now := r.locker.clock.Now()
	r.ended.Store(&now)
	switch noted, ok := r.lastRun(now); {
	case !ok:
	case noted.Before(r.began):
		r.unnoted.Store(true)
	default:
		r.state.resting.Store(new(false))
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
func (r *run) rests() bool {
	if !r.mayRest() {
		return false
	}
	if known := r.state.resting.Load(); known != nil {
		return *known
	}
	if r.ended.Load() != nil && !r.unnoted.Load() {
		return false // taskEnded has found out what it could
	}
	now := r.locker.clock.Now()
	noted, ok := r.lastRun(now)
	if !ok || noted.Before(r.began) { // gocron does not note the last of a limited number of runs
		return false
	}
	rests, sure := r.seemsToRest(now, noted)
	if sure {
		r.state.resting.Store(&rests)
	}
	return rests
}

// mayRest reports whether the run is one of the schedule, of a job that is known.
func (r *run) mayRest() bool { return r.state != nil && !r.triggered && !r.lease.Tick().IsZero() }

// seemsToRest judges by what gocron has noted and planned. Unless taskEnded has found out, the times alone are not sure, because a busy
// gocron notes a beginning late, and goes on late after an end. But the next tick counts from the tick of this run, or from its end.
func (r *run) seemsToRest(now, noted time.Time) (rests, sure bool) {
	if r.unnoted.Load() {
		return true, true
	}
	s, late := r.state, !noted.Before(now.Add(-now.Sub(r.began)/10))
	next, err := askBusy(r.job, func() (time.Time, error) { return s.planned(now) })
	if r.extra || err != nil || next.IsZero() {
		return late, false
	}
	switch d := s.job.Schedule().(type) {
	case gocron.DurationJobSchedule:
		if noted.Sub(r.lease.Tick())%d.Duration >= time.Millisecond { // to which a lease's tick is rounded
			return next.Sub(noted)%d.Duration == 0, true
		}
	case gocron.DurationRandomJobSchedule:
		if next.Before(noted.Add(d.Min)) {
			return false, true
		}
	}
	return late, false
}

// planned returns the next tick that gocron has planned, or zero. Of a random job it looks at one only; see random.
func (s *jobState) planned(now time.Time) (next time.Time, err error) {
	var ticks []time.Time
	if _, random := s.job.Schedule().(gocron.DurationRandomJobSchedule); random {
		next, err = s.job.NextRun()
		ticks = append(ticks, next)
	} else {
		ticks, err = foresee(s.job, now, 1)
	}
	return oldest(ticks, func(t time.Time) bool { return wall(t).After(wall(now)) }), err
}

// lastRun returns what gocron has noted as the job's last run. It does not ask if what that shows is known, does not matter, or would
// be uncertain.
func (r *run) lastRun(now time.Time) (noted time.Time, ok bool) {
	s := r.state
	if !r.mayRest() || s.resting.Load() != nil {
		return time.Time{}, false
	}
	interval, took := s.interval(), now.Sub(r.began)
	if took < interval/200 || interval == 0 { // the spacing makes up for runs that short
		return time.Time{}, false
	}
	if (wall(now).Sub(wall(r.began)) - took).Abs() > took/10 {
		return time.Time{}, false // the wall clock, by which gocron sets LastRun, was changed meanwhile; the next run will show
	}
	noted, err := askBusy(r.job, s.job.LastRun) //nolint:staticcheck // LastRunStartedAt, its successor, is always the start of the run
	return noted, err == nil
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
