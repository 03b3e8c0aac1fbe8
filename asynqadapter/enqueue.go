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
	task, opts, err := s.prepare(e, tick)
	if err != nil {
		s.giveUp(e, tick, opts, err)
		return
	}
	for try := 0; ; try++ {
		if over := s.tooLate(e, tick); over != nil {
			if err != nil {
				over = fmt.Errorf("%w: %w", over, err)
			}
			s.giveUp(e, tick, opts, over)
			return
		}
		var info *asynq.TaskInfo
		if info, err = s.enqueueOnce(task, opts); err == nil || errors.Is(err, asynq.ErrTaskIDConflict) {
			s.succeed(e, tick, info, err)
			return
		}
		wait := backoff(try)
		if s.startsFailing(e) {
			s.report(EnqueueFailed, e, tick, fmt.Errorf("%w; retrying until it is enqueued or too late", err))
		}
		if pause(s.ctx, wait); s.ctx.Err() != nil {
			s.giveUp(e, tick, opts, fmt.Errorf("asynqadapter: shut down before it was enqueued: %w", err))
			return
		}
	}
}

var (
	errSetBack    = fmt.Errorf("%w: the clock was set back before it was enqueued; it is enqueued when its time comes again", ErrLate)
	errSuperseded = fmt.Errorf("%w: a newer tick of the entry is due", ErrLate)
)

// tooLate returns why a tick must no longer be enqueued, or nil if it may be.
func (s *Scheduler) tooLate(e *entry, tick time.Time) error {
	switch late := s.cfg.now().Sub(tick); {
	case late > s.cfg.lateness:
		return ErrLate
	case late < -maxSleep: // far enough that the loop is sure to notice and take the tick again
		return errSetBack
	}
	if !s.cfg.newestOnly {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.previous.After(tick) {
		return errSuperseded
	}
	return nil
}

var errVeto = invalid("it called runtime.Goexit, so this replica does not enqueue the tick; another one may")

// prepare returns the task and options of one tick. PreEnqueueFunc may replace both in
// place, so they are checked as in Register. The task ID is the last option, to
// override any other.
func (s *Scheduler) prepare(e *entry, tick time.Time) (*asynq.Task, []asynq.Option, error) {
	task, opts := copyOf(e.task), slices.Clone(e.opts)
	if s.opts.PreEnqueueFunc != nil {
		err := errVeto
		isolate(func() { s.opts.PreEnqueueFunc(task, opts); err = checkTask(task, opts) })
		if err == nil {
			known, _ := readOptions(task, opts, s.cfg.managed)
			err = known.check(e.name, s.cfg.lateness)
		}
		if err != nil {
			return task, opts, fmt.Errorf("after PreEnqueueFunc: %w", err)
		}
		task = copyOf(task) // PreEnqueueFunc may keep the task that it put here
	}
	return task, append(opts, asynq.TaskID(withTick(e.name, tick))), nil
}

// enqueueOnce does not end at Shutdown, because its outcome would then be unknown.
func (s *Scheduler) enqueueOnce(task *asynq.Task, opts []asynq.Option) (*asynq.TaskInfo, error) {
	ctx, cancel := context.WithTimeout(context.Background(), enqueueTimeout)
	defer cancel()
	return s.client.EnqueueContext(ctx, task, opts...)
}

// startsFailing marks the entry as failing, and reports whether it was not before: in
// an outage attempts fail again and again, but only the first is reported.
func (s *Scheduler) startsFailing(e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	begins := !e.failing
	e.failing = true
	return begins
}

func (s *Scheduler) succeed(e *entry, tick time.Time, info *asynq.TaskInfo, err error) {
	s.mu.Lock()
	e.failing = false
	s.mu.Unlock()
	kind := Enqueued
	if err != nil {
		kind = EnqueuedElsewhere
	}
	s.report(kind, e, tick, nil)
	if s.opts.PostEnqueueFunc != nil {
		s.opts.PostEnqueueFunc(info, err)
	}
}

func (s *Scheduler) giveUp(e *entry, tick time.Time, opts []asynq.Option, err error) {
	kind := Late
	if errors.Is(err, redlock.ErrInvalid) {
		kind = redlock.Refused
	}
	s.report(kind, e, tick, err)
	if s.opts.PostEnqueueFunc != nil {
		s.opts.PostEnqueueFunc(nil, err)
	}
	if handle := s.opts.EnqueueErrorHandler; handle != nil { //nolint:staticcheck // deprecated, but programs that move here use it
		handle(e.task, opts, err)
	}
}

func (s *Scheduler) report(kind redlock.EventKind, e *entry, tick time.Time, err error) {
	s.cfg.observe.tell(redlock.Event{Kind: kind, Name: e.name, Tick: tick, Err: err})
}

// reportAsync is for callers that hold the mutex, as the observer may call Entries.
func (s *Scheduler) reportAsync(kind redlock.EventKind, e *entry, err error) {
	s.ticks.Go(func() { s.report(kind, e, time.Time{}, err) })
}

// pause sleeps for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func backoff(try int) time.Duration {
	d := min(100*time.Millisecond<<min(try, 10), maxBackoff)
	return d/2 + rand.N(d/2)
}
