package asynqadapter

import (
	"context"
	"errors"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// WithTriggers enqueues an entry's task, once in the fleet, when an operator
// triggers the entry by its name: with redtick trigger, on the page, or by
// inspect.Inspector.Trigger. The replicas that share the locker's nodes agree
// there on who enqueues it, and what came of it is in that history. So the name
// must be no other job's of that Locker, nor of other work in another queue. From
// Start to Shutdown the scheduler listens on one connection to each node. The
// task's ID is the entry's name and the trigger's tick. An attempt that fails is
// not repeated. Default off.
func WithTriggers(locker *redlock.Locker) SchedulerOption {
	return func(c *schedulerConfig) {
		if c.triggers = locker; locker == nil {
			c.err = invalid("the Locker for WithTriggers is nil; make one with redlock.New")
		}
	}
}

// prepareTriggers checks that an entry can be triggered, if the scheduler is to listen.
func (s *Scheduler) prepareTriggers(e *entry) (err error) {
	if s.cfg.triggers != nil {
		e.job, err = s.cfg.triggers.NewJob(e.name, redlock.WithSchedule(e.spec, e.schedule.after))
	}
	return err
}

// listen is called with the mutex held.
func (s *Scheduler) listen(e *entry) {
	if e.job == nil || e.stop != nil {
		return
	}
	stop, err := e.job.OnTrigger(func(tick time.Time) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.state == running && e.stop != nil { // not removed meanwhile
			s.ticks.Go(func() { s.enqueueTriggered(e, tick) })
		}
	})
	if err != nil {
		s.reportSoon(redlock.Refused, e, err)
		return
	}
	e.stop = stop
}

// deafen is called with the mutex held.
func (e *entry) deafen() {
	if e.stop != nil {
		e.stop()
	}
	e.stop = nil
}

// enqueueTriggered enqueues a task if no other replica does. Its claim tells the Locker's observer why not.
func (s *Scheduler) enqueueTriggered(e *entry, tick time.Time) {
	_ = e.job.Triggered().Run(context.Background(), tick, func(context.Context) error {
		task, opts, err := s.prepare(e, tick)
		var info *asynq.TaskInfo
		if err == nil {
			info, err = s.attempt(task, opts)
		}
		if err == nil || errors.Is(err, asynq.ErrTaskIDConflict) {
			s.succeed(e, tick, info, err)
			return nil
		}
		s.giveUp(e, tick, opts, err)
		return err
	})
}
