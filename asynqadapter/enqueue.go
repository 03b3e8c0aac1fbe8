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
	enqueueLimit = 10 * time.Second // for one attempt, where the client heeds its context
	longestPause = 5 * time.Second
)

// enqueue tries until the tick is enqueued, by this replica or another, or too
// late. Trying again is safe even after an attempt that may have worked: the
// ID is taken then.
func (s *Scheduler) enqueue(e *entry, tick time.Time) {
	task, opts, err := s.prepare(e, tick)
	if err != nil {
		s.giveUp(e, tick, opts, err)
		return
	}
	for try := 0; ; try++ {
		if over := s.over(e, tick); over != nil {
			if err != nil {
				over = fmt.Errorf("%w: %w", over, err)
			}
			s.giveUp(e, tick, opts, over)
			return
		}
		var info *asynq.TaskInfo
		if info, err = s.attempt(task, opts); err == nil || errors.Is(err, asynq.ErrTaskIDConflict) {
			s.succeed(e, tick, info, err)
			return
		}
		wait := backoff(try)
		if s.beginsToFail(e) {
			s.report(EnqueueFailed, e, tick, fmt.Errorf("%w; tried again until it is enqueued or too late", err))
		}
		if pause(s.ctx, wait); s.ctx.Err() != nil {
			s.giveUp(e, tick, opts, fmt.Errorf("asynqadapter: shut down before it was enqueued: %w", err))
			return
		}
	}
}

var (
	errSetBack    = fmt.Errorf("%w: the clock was set back before it was enqueued; it comes again at its time", ErrLate)
	errSuperseded = fmt.Errorf("%w: a newer tick of the entry is due", ErrLate)
)

// over returns why a tick must not be enqueued any more.
func (s *Scheduler) over(e *entry, tick time.Time) error {
	switch late := s.cfg.now().Sub(tick); {
	case late > s.cfg.lateness:
		return ErrLate
	case late < -maxSleep: // by so much that the loop is sure to notice and to derive the tick again
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

var errVeto = invalid("it called runtime.Goexit, so the tick is not enqueued here; on another replica it may be")

// prepare makes the task and options of one tick. PreEnqueueFunc may replace
// both in place, so what Register checked is checked again. The task ID comes last.
func (s *Scheduler) prepare(e *entry, tick time.Time) (*asynq.Task, []asynq.Option, error) {
	task, opts := copyOf(e.task), slices.Clone(e.opts)
	if s.opts.PreEnqueueFunc != nil {
		err := errVeto
		apart(func() { s.opts.PreEnqueueFunc(task, opts); err = checkTask(task, opts) })
		if err == nil {
			known, _ := readOptions(task, opts, s.cfg.managed)
			err = known.check(e.name, s.cfg.lateness)
		}
		if err != nil {
			return task, opts, fmt.Errorf("after PreEnqueueFunc: %w", err)
		}
		task = copyOf(task) // which it may have replaced by one that it keeps
	}
	return task, append(opts, asynq.TaskID(withTick(e.name, tick))), nil
}

// attempt is not ended by Shutdown: then nobody would know how it ended.
func (s *Scheduler) attempt(task *asynq.Task, opts []asynq.Option) (*asynq.TaskInfo, error) {
	ctx, cancel := context.WithTimeout(context.Background(), enqueueLimit)
	defer cancel()
	return s.client.EnqueueContext(ctx, task, opts...)
}

// beginsToFail reports whether no attempt of this entry has failed since one worked: in an outage each of its ticks is tried
// again and again.
func (s *Scheduler) beginsToFail(e *entry) bool {
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
	if handle := s.opts.EnqueueErrorHandler; handle != nil { //nolint:staticcheck // deprecated, but in use: programs that move here have it
		handle(e.task, opts, err)
	}
}

func (s *Scheduler) report(kind redlock.EventKind, e *entry, tick time.Time, err error) {
	s.cfg.observe.tell(redlock.Event{Kind: kind, Name: e.name, Tick: tick, Err: err})
}

// reportSoon is for those who hold the mutex, as the observer may ask for the entries.
func (s *Scheduler) reportSoon(kind redlock.EventKind, e *entry, err error) {
	s.ticks.Go(func() { s.report(kind, e, time.Time{}, err) })
}

// pause returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func backoff(try int) time.Duration {
	d := min(100*time.Millisecond<<min(try, 10), longestPause)
	return d/2 + rand.N(d/2)
}
