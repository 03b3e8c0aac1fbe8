package asynqadapter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hibiken/asynq"
)

const (
	enqueueLimit = 10 * time.Second // for one attempt, where the client heeds its context
	longestPause = 5 * time.Second
)

// enqueue tries until the tick is enqueued, by this replica or another, or too
// late. Trying again is safe also after an attempt that may have worked: the
// ID is taken then.
func (s *Scheduler) enqueue(e *entry, tick time.Time) {
	opts, err := s.prepare(e, tick)
	if err != nil {
		s.giveUp(e, tick, opts, err)
		return
	}
	for try := 0; ; try++ {
		if late := s.cfg.now().Sub(tick); late > s.cfg.lateness {
			s.giveUp(e, tick, opts, fmt.Errorf("%w: %w", ErrLate, err))
			return
		}
		var info *asynq.TaskInfo
		if info, err = s.attempt(e.task, opts); err == nil || errors.Is(err, asynq.ErrTaskIDConflict) {
			s.settle(e, tick, info, err)
			return
		}
		wait := backoff(try)
		event := s.event(EnqueueFailed, e, tick, err)
		event.After = wait
		s.cfg.observe.tell(event)
		if !s.pause(wait) {
			s.giveUp(e, tick, opts, fmt.Errorf("asynqadapter: shut down before it was enqueued: %w", err))
			return
		}
	}
}

// prepare makes the options of one tick. The task ID comes after
// PreEnqueueFunc, which may change the others in place.
func (s *Scheduler) prepare(e *entry, tick time.Time) ([]asynq.Option, error) {
	opts := slices.Clone(e.opts)
	if s.opts.PreEnqueueFunc != nil {
		s.opts.PreEnqueueFunc(e.task, opts)
		for _, o := range opts {
			if o == nil || o.Type() == asynq.UniqueOpt || o.Type() == asynq.GroupOpt {
				return opts, invalid("PreEnqueueFunc put the option %v on a task of entry %q; Unique and Group do not go with a task ID per tick", o, e.name)
			}
		}
	}
	return append(opts, asynq.TaskID(withTick(e.name, tick))), nil
}

// attempt is not ended by Shutdown: then nobody would know how it ended.
func (s *Scheduler) attempt(task *asynq.Task, opts []asynq.Option) (*asynq.TaskInfo, error) {
	ctx, cancel := context.WithTimeout(context.Background(), enqueueLimit)
	defer cancel()
	return s.client.EnqueueContext(ctx, task, opts...)
}

func (s *Scheduler) settle(e *entry, tick time.Time, info *asynq.TaskInfo, err error) {
	kind := Enqueued
	if err != nil {
		kind = EnqueuedElsewhere
	}
	s.cfg.observe.tell(s.event(kind, e, tick, nil))
	if s.opts.PostEnqueueFunc != nil {
		s.opts.PostEnqueueFunc(info, err)
	}
}

func (s *Scheduler) giveUp(e *entry, tick time.Time, opts []asynq.Option, err error) {
	s.cfg.observe.tell(s.event(Late, e, tick, err))
	if s.opts.PostEnqueueFunc != nil {
		s.opts.PostEnqueueFunc(nil, err)
	}
	if s.opts.EnqueueErrorHandler != nil {
		s.opts.EnqueueErrorHandler(e.task, opts, err)
	}
}

func (s *Scheduler) event(kind EventKind, e *entry, tick time.Time, err error) Event {
	return Event{Kind: kind, Name: e.name, TaskType: e.task.Type(), TaskID: withTick(e.name, tick), Tick: tick, Err: err}
}

// pause returns false when the scheduler is shut down.
func (s *Scheduler) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.done:
		return false
	}
}

func backoff(try int) time.Duration {
	d := min(100*time.Millisecond<<min(try, 10), longestPause)
	return d/2 + rand.N(d/2)
}
