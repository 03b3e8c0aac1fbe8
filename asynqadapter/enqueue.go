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
		if pause(s.ctx, backoff(try)); s.closed() {
			err = errShutDown
		}
	}
	if failed != nil {
		err = fmt.Errorf("%w: %w", err, failed)
	}
	s.giveUp(e, tick, opts, err)
}

var (
	errSetBack    = fmt.Errorf("%w: the clock was set back before it was enqueued; it is enqueued when its time comes again", ErrLate)
	errSuperseded = fmt.Errorf("%w: a newer tick of the entry is due", ErrLate)
	errShutDown   = errors.New("asynqadapter: shut down before it was enqueued")
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
	if s.opts.PostEnqueueFunc != nil {
		s.opts.PostEnqueueFunc(info, err)
	}
	return nil
}

func (s *Scheduler) giveUp(e *entry, tick time.Time, opts []asynq.Option, err error) {
	kind := Late
	if errors.Is(err, redlock.ErrInvalid) {
		kind = redlock.Refused
	}
	s.report(kind, e.name, tick, err)
	if s.opts.PostEnqueueFunc != nil {
		s.opts.PostEnqueueFunc(nil, err)
	}
	if handle := s.opts.EnqueueErrorHandler; handle != nil { //nolint:staticcheck // deprecated, but programs that move here use it
		handle(e.task, opts, err)
	}
}

func (s *Scheduler) report(kind redlock.EventKind, name string, tick time.Time, err error) {
	s.cfg.observe.tell(redlock.Event{Kind: kind, Name: name, Tick: tick, Err: err})
}

// reportAsync is for callers that hold the mutex, as the observer may call Entries.
func (s *Scheduler) reportAsync(kind redlock.EventKind, name string, err error) {
	s.work.Go(func() { s.report(kind, name, time.Time{}, err) })
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
