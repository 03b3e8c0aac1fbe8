package gocronadapter

import (
	"context"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// rhythm says whether the job's interval counts from the end of its runs
// (gocron.WithIntervalFromCompletion).
type rhythm int

const (
	unknown rhythm = iota
	fromTick
	fromCompletion
)

// rests reports whether the job rests after this run of its schedule. gocron
// does not say, but when it notes that the job has run does: before the task
// begins, or once it has ended if the interval counts from there.
func (r *run) rests(ctx context.Context) bool {
	s := r.state
	if s == nil || r.byHand || r.lease.Tick().IsZero() {
		return false
	}
	now := s.locker.clock.Now()
	s.mu.Lock()
	rhythm, interval, ended := s.rhythm, s.interval(), r.ended
	s.mu.Unlock()
	took := now.Sub(r.began)
	if rhythm != unknown || took < interval/200 || interval == 0 { // the spacing makes up for runs that short
		return rhythm == fromCompletion
	}
	if (wall(now).Sub(wall(r.began)) - took).Abs() > took/10 {
		return false // the clock was set meanwhile, and what gocron notes is by the wall clock; the next run will tell
	}
	if ended.IsZero() { // gocron did not let this package hear
		ended = now.Add(-took / 10)
	}
	noted, err := askBusy(ctx, s.job.LastRun) //nolint:staticcheck // LastRunStartedAt is meant to be when the run began, and this is wanted
	if err != nil || noted.Before(r.began) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rhythm = fromTick
	if !noted.Before(ended) {
		s.rhythm = fromCompletion
	}
	return s.rhythm == fromCompletion
}

// interval is that of a job for which gocron.WithIntervalFromCompletion has a
// meaning, else 0.
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
// other replica begins before. Under take-over the tick counts as done only
// once the lock is released, so there the rest ends with the job.
func (r *run) rest() {
	d := r.state.interval()
	timer := time.NewTimer(d - d/10)
	defer timer.Stop()
	var ended <-chan struct{}
	if r.tick != nil {
		ended = r.job.Done()
	}
	select {
	case <-timer.C:
	case <-r.lease.Context().Done():
	case <-ended:
	}
	_ = r.end(context.Background()) // a loss is reported by redlock; Unlock is bounded by the node timeout
}
