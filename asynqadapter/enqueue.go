package asynqadapter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

const (
	enqueueTimeout = 10 * time.Second // of one attempt, if the client respects its context
	maxBackoff     = 5 * time.Second
)

// enqueue tries until the tick is enqueued, by this replica or another one, or is too
// late. Trying again is safe even after an attempt that may have worked, because then
// the task ID is taken.
func (s *Scheduler) enqueue(e *entry, tick time.Time) {
	var failed error
	task, opts, err := s.prepare(e, tick)
	for try := 0; err == nil; try++ {
		if err = s.tooLate(e, tick); err != nil {
			break
		}
		if failed = s.attempt(e, tick, task, opts); failed == nil {
			return
		}
		if !e.failing.Swap(true) { // in an outage attempts fail again and again, but only the first is reported
			s.report(EnqueueFailed, e.name, tick, fmt.Errorf("%w; retrying until it is enqueued or too late", failed))
		}
		wait := min(100*time.Millisecond<<min(try, 10), maxBackoff)
		if pause(s.ctx, wait/2+rand.N(wait/2)); s.closed() {
			err = errors.New("asynqadapter: shut down before it was enqueued")
		}
	}
	if failed != nil {
		err = fmt.Errorf("%w: %w", err, failed)
	}
	s.giveUp(e, tick, opts, err)
}

// tooLate returns why a tick must no longer be enqueued, or nil if it may be.
func (s *Scheduler) tooLate(e *entry, tick time.Time) error {
	s.mu.Lock()
	newest := e.previous
	s.mu.Unlock()
	switch late := s.cfg.now().Sub(tick); {
	case late > s.cfg.lateness:
		return ErrLate
	case late < -maxSleep: // far enough that the loop is sure to notice and take the tick again
		return fmt.Errorf("%w: the clock was set back before it was enqueued; it is enqueued when its time comes again", ErrLate)
	case s.cfg.newestOnly && newest.After(tick):
		return fmt.Errorf("%w: a newer tick of the entry is due", ErrLate)
	}
	return nil
}

// prepare returns the task and options of one tick. PreEnqueueFunc may replace both in
// place, so they are checked as in Register. The task ID is the last option, to
// override any other.
func (s *Scheduler) prepare(e *entry, tick time.Time) (*asynq.Task, []asynq.Option, error) {
	task, opts := copyOf(e.task), slices.Clone(e.opts)
	if s.opts.PreEnqueueFunc != nil {
		err := invalid("it called runtime.Goexit, so this replica does not enqueue the tick; another one may")
		isolate(func() {
			s.opts.PreEnqueueFunc(task, opts)
			var known taskOptions
			if known, _, err = readOptions(task, opts, s.cfg.managed); err == nil {
				err = known.check(e.name, s.cfg.lateness)
			}
		})
		if err != nil {
			return task, opts, fmt.Errorf("after PreEnqueueFunc: %w", err)
		}
		task = copyOf(task) // PreEnqueueFunc may keep the task that it put here
	}
	return task, append(opts, asynq.TaskID(withTick(e.name, tick))), nil
}

// attempt tries once to enqueue a tick. It returns nil also if another replica did. It
// does not end at Shutdown, because its outcome would then be unknown.
func (s *Scheduler) attempt(e *entry, tick time.Time, task *asynq.Task, opts []asynq.Option) error {
	ctx, cancel := context.WithTimeout(context.Background(), enqueueTimeout)
	defer cancel()
	info, err := s.client.EnqueueContext(ctx, task, opts...)
	kind := Enqueued
	switch {
	case errors.Is(err, asynq.ErrTaskIDConflict):
		kind = EnqueuedElsewhere
	case err != nil:
		return err
	}
	e.failing.Store(false)
	s.report(kind, e.name, tick, nil)
	s.opts.PostEnqueueFunc(info, err)
	return nil
}

func (s *Scheduler) giveUp(e *entry, tick time.Time, opts []asynq.Option, err error) {
	kind := Late
	if errors.Is(err, redlock.ErrInvalid) {
		kind = redlock.Refused
	}
	s.report(kind, e.name, tick, err)
	s.opts.PostEnqueueFunc(nil, err)
	if handle := s.opts.EnqueueErrorHandler; handle != nil { //nolint:staticcheck // deprecated, but programs that move here use it
		handle(e.task, opts, err)
	}
}

// pause sleeps for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

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

// listen listens to triggers of the entry. s.mu must be held.
func (s *Scheduler) listen(e *entry) {
	if e.job == nil {
		return
	}
	var err error
	e.stop, err = e.job.OnTrigger(func(tick time.Time) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running() && e.stop != nil { // not removed meanwhile
			s.work.Go(func() { s.enqueueTriggered(e, tick) })
		}
	})
	if err != nil {
		s.work.Go(func() { s.report(redlock.Refused, e.name, time.Time{}, err) })
	}
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
