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

// watch has a look at the job once a run has lasted for a tenth of its interval.
func (s *jobState) watch() (stop func() bool) {
	s.mu.Lock()
	rhythm := s.rhythm
	s.mu.Unlock()
	if rhythm != unknown || s.interval() == 0 {
		return nil
	}
	return time.AfterFunc(s.interval()/10, func() {
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
	}).Stop
}

// rests reports whether the job rests once the run for this tick is over. For a
// short run nobody has had a look yet, but a next tick off the grid shows it.
func (s *jobState) rests(ctx context.Context, tick time.Time) bool {
	s.mu.Lock()
	rhythm, asked := s.rhythm, s.asked
	s.mu.Unlock()
	d := s.interval()
	if d == 0 || tick.IsZero() || rhythm != unknown {
		return rhythm == fromCompletion && !tick.IsZero()
	}
	if _, random := s.job.Schedule().(gocron.DurationRandomJobSchedule); random {
		return false
	}
	if ctx.Err() != nil {
		return false // gocron would not answer
	}
	next, err := ask(ctx, s.job.NextRun)
	if err != nil || next.IsZero() || !wall(s.locker.clock.Now()).After(asked) {
		return false
	}
	rhythm = fromCompletion
	if next.Sub(asked)%d == 0 {
		rhythm = fromTick
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rhythm = rhythm
	return rhythm == fromCompletion
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
