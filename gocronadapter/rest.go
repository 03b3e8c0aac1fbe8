package gocronadapter

import (
	"context"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// intervalFrom is where the job's interval counts from: its ticks, or the end of
// its runs (gocron.WithIntervalFromCompletion).
type intervalFrom int

const (
	unknown intervalFrom = iota
	fromTick
	fromCompletion
)

// rests reports whether the job rests after this run, because its interval counts
// from the end of a run. gocron has no method for that, but its LastRun shows it: it
// is set before the task begins, or, for such a job, once the task has ended.
func (r *run) rests(ctx context.Context) bool {
	s := r.state
	if s == nil || r.triggered || r.lease.Tick().IsZero() {
		return false
	}
	now := s.locker.clock.Now()
	s.mu.Lock()
	from, interval, ended := s.intervalFrom, s.interval(), r.ended
	s.mu.Unlock()
	took := now.Sub(r.began)
	if from != unknown || took < interval/200 || interval == 0 { // the spacing makes up for runs that short
		return from == fromCompletion
	}
	if (wall(now).Sub(wall(r.began)) - took).Abs() > took/10 {
		return false // the wall clock, by which gocron sets LastRun, was changed meanwhile; the next run will show
	}
	if ended.IsZero() { // the user's listener took the place of this package's
		ended = now.Add(-took / 10)
	}
	noted, err := askBusy(ctx, s.job.LastRun) //nolint:staticcheck // LastRunStartedAt, its successor, is always the start of the run
	if err != nil || noted.Before(r.began) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intervalFrom = fromTick
	if !noted.Before(ended) {
		s.intervalFrom = fromCompletion
	}
	return s.intervalFrom == fromCompletion
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
// the lock is released, so there the rest ends with the job.
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
	_ = r.end(context.Background()) // redlock reports a loss; Unlock is bounded by the node timeout
}
