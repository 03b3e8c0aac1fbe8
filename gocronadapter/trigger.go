package gocronadapter

import (
	"context"
	"fmt"
	"time"
)

// WithTriggers lets an operator run a job, once in the fleet: with redtick trigger,
// on the page, or by inspect.Inspector.Trigger. Default off. It needs
// [NewScheduler], because gocron does not give a Locker its jobs. While the
// scheduler runs, it listens on one connection to each node.
//
// The run is started by the job's RunNow and is like its other runs: it reaches the
// listeners, counts for WithLimitedRuns, and may wait in a queue of gocron. If
// gocron drops it, it is started again for up to 3 s. On the replicas that do not
// get it, it ends like a tick that another replica runs. redlock.Job.Triggered says
// why such a run is refused.
//
// A job with gocron.WithDisabledDistributedJobLocker cannot be triggered. Nor can
// one with gocron.WithIntervalFromCompletion while it rests, because its lock is
// held.
func WithTriggers() Option { return func(c *config) { c.triggers = true } }

// listen listens for triggers until ctx ends.
func (l *jobLocker) listen(ctx context.Context) {
	if !l.locker.triggers {
		return
	}
	job, err := l.locker.locker.NewJob(l.traits.name, l.locker.jobOptions(l.traits.name, 0, 0)...)
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

// triggerTimeout is how long the one who triggers waits for a run.
const triggerTimeout = 3 * time.Second

// runTriggered starts runs until one takes the tick.
func (l *jobLocker) runTriggered(ctx context.Context, tick time.Time) {
	if !l.locked() {
		l.locker.warn(l.traits.name, fmt.Errorf("%w: job %q has gocron.WithDisabledDistributedJobLocker, so it cannot be triggered: every replica would run it; leave the option out, or use RunNow", ErrSchedule, l.traits.name))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, triggerTimeout)
	defer cancel()
	l.extraRuns.runTicks(ctx, l.start, true, tick)
}

// claimTriggered serves a run that was started for a trigger.
func (s *jobState) claimTriggered(ctx context.Context, tick time.Time) (*run, error) {
	job, err := s.redlockJob(time.Time{})
	if err != nil {
		return nil, err
	}
	lease, err := job.Triggered().Claim(ctx, tick)
	r, err := s.newRun(ctx, lease, nil, err)
	if err == nil {
		r.triggered = true
	}
	return r, err
}
