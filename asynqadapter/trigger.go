package asynqadapter

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock"
)

// WithTriggers enqueues an entry's task, once in the fleet, when an operator triggers
// the entry by its name with redtick trigger, on the page, or through
// inspect.Inspector.Trigger. Replicas agree through locker's nodes on which one
// enqueues it, and its history is kept there. So no other job of that Locker may have
// the name, nor a different entry in another queue. From Start to Shutdown the Locker
// listens on one connection to each node. The task's ID is the entry's name, "@" and
// the trigger's tick. A failed attempt is not repeated. Default off.
func WithTriggers(locker *redlock.Locker) SchedulerOption {
	return func(c *schedulerConfig) {
		if c.triggers = locker; locker == nil {
			c.err = invalid("the Locker for WithTriggers is nil; make one with redlock.New")
		}
	}
}

// prepareTriggers makes the entry's job, under [WithTriggers].
func (s *Scheduler) prepareTriggers(e *entry) (err error) {
	if s.cfg.triggers != nil {
		e.job, err = s.cfg.triggers.NewJob(e.name, redlock.WithSchedule(e.spec, e.schedule.after))
	}
	return err
}

// listen listens to triggers of the entry. s.mu must be held.
func (s *Scheduler) listen(e *entry) {
	if e.job == nil || e.stop != nil {
		return
	}
	stop, err := e.job.OnTrigger(func(tick time.Time) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running() && e.stop != nil { // not removed meanwhile
			s.work.Go(func() { s.enqueueTriggered(e, tick) })
		}
	})
	if err != nil {
		s.reportAsync(redlock.Refused, e.name, err)
		return
	}
	e.stop = stop
}

// stopListening stops listening to triggers. The scheduler's mutex must be held.
func (e *entry) stopListening() {
	if e.stop != nil {
		e.stop()
	}
	e.stop = nil
}

// enqueueTriggered enqueues a task if no other replica does. If it does not, its claim
// tells the Locker's observer why.
func (s *Scheduler) enqueueTriggered(e *entry, tick time.Time) {
	_ = e.job.Triggered().Run(context.Background(), tick, func(context.Context) error {
		task, opts, err := s.prepare(e, tick)
		if err == nil {
			err = s.attempt(e, tick, task, opts)
		}
		if err != nil {
			s.giveUp(e, tick, opts, err)
		}
		return err
	})
}
