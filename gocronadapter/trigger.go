package gocronadapter

import (
	"context"
	"fmt"
	"time"
)

// WithTriggers runs a job, once in the fleet, when an operator triggers it: with
// redtick trigger, on the page, or by inspect.Inspector.Trigger. It is for
// [NewScheduler]: gocron does not give a Locker its jobs. The run is started by
// the job's RunNow and goes the way of all its runs: it reaches the job's
// listeners, counts for WithLimitedRuns, waits in a queue of gocron or is
// dropped by one, and then it is started again for up to 3 s. On the replicas
// that do not get it, it ends like a tick that another replica runs. While the
// scheduler runs it listens on one connection to each node. While a job of
// gocron.WithIntervalFromCompletion rests, it is held and cannot be triggered.
// Nor can one with gocron.WithDisabledDistributedJobLocker. Default off. What such a
// run is refused for is part of redlock.Job.Triggered.
func WithTriggers() Option { return func(c *config) { c.triggers = true } }

// listen has triggers heard until ctx ends.
func (l *jobLocker) listen(ctx context.Context) {
	if !l.locker.triggers {
		return
	}
	job, err := l.locker.locker.NewJob(l.traits.name, l.locker.of(l.traits.name, 0, 0)...)
	var end func()
	if err == nil {
		end, err = job.OnTrigger(func(tick time.Time) { go l.runTriggered(ctx, tick) })
	}
	if err != nil {
		l.locker.warn(l.traits.name, err)
		return
	}
	context.AfterFunc(ctx, end)
}

// longestTriggering is as long as who triggers waits.
const longestTriggering = 3 * time.Second

// runTriggered starts runs until one takes the tick.
func (l *jobLocker) runTriggered(ctx context.Context, tick time.Time) {
	if !l.locked() {
		l.locker.warn(l.traits.name, fmt.Errorf("%w: job %q has gocron.WithDisabledDistributedJobLocker, so it is not triggered: every replica would run it; leave the option out, or use RunNow", ErrSchedule, l.traits.name))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, longestTriggering)
	defer cancel()
	l.extras.bring(ctx, l.start, true, tick)
}

// claimTriggered is for a run that was started for a trigger.
func (s *jobState) claimTriggered(ctx context.Context, tick time.Time) (*run, error) {
	job, err := s.redlockJob(time.Time{})
	if err != nil {
		return nil, err
	}
	lease, err := job.Triggered().Claim(ctx, tick)
	r, err := s.newRun(ctx, lease, nil, err)
	if err == nil {
		r.byHand = true
	}
	return r, err
}
