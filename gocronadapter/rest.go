package gocronadapter

import (
	"context"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// rhythm says whether the job's interval counts from the end of its runs
// (gocron.WithIntervalFromCompletion). gocron does not say, but its list does:
// such a job has no next tick while it runs.
type rhythm int

const (
	unknown rhythm = iota
	fromTick
	fromCompletion
)

// minLook is more than gocron takes to plan the next tick once Lock has returned.
const minLook = 50 * time.Millisecond

// watch looks at the job during a run of the schedule, unless the run is so short
// that the spacing makes up for it. During another one the next tick is planned.
func (s *jobState) watch() (stop func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.interval()
	if s.rhythm != unknown || d == 0 {
		return nil
	}
	return time.AfterFunc(max(d/200, min(minLook, d/2)), s.look).Stop
}

func (s *jobState) look() {
	next, err := s.job.NextRun() // only the first: asking for more would race for the random numbers
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rhythm = fromCompletion
	if wall(next).After(wall(s.locker.clock.Now())) {
		s.rhythm = fromTick
	}
}

// noteLasted notes until when a run of the schedule lasted, at least: it has just begun, or its task has ended.
func (s *jobState) noteLasted() {
	now := s.locker.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lasted = now
}

// relearn corrects a look that came before a busy gocron had planned the next
// tick: one that comes sooner than an interval after a run does not count from its end.
func (s *jobState) relearn(tick time.Time) {
	if s.rhythm == fromCompletion && wall(tick).Add(-s.interval()).Before(wall(s.lasted)) {
		s.rhythm = fromTick
	}
}

// rests reports whether the job rests after its runs of the schedule.
func (s *jobState) rests() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
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
