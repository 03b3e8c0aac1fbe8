package asynqadapter

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// Event kinds that this package adds to redlock's. A middleware's event has the name
// of the mutex and, as Err, a [*TaskError]. A [Scheduler]'s event has the name of the
// entry, from which task IDs are made: the name, "@" and the tick. Err says why.
//
// What can never work, such as an invalid key of a task or an option that
// PreEnqueueFunc put on a task, is a redlock.Refused event whose Err matches
// redlock.ErrInvalid. The levels below are those of Event.Level. Without a quorum,
// all are warnings.
const (
	// Requeued (debug): a task was sent back to run later.
	Requeued redlock.EventKind = "requeued"
	// Skipped (debug): a task was not run because its key was busy and the policy is [Skip].
	Skipped redlock.EventKind = "skipped"
	// Waiting (debug): a task waits in its worker, because without retries left it cannot
	// be sent back.
	Waiting redlock.EventKind = "waiting"
	// Dropped (debug): a task was not run because its tick is done or another task has it.
	Dropped redlock.EventKind = "dropped"
	// Unstamped (warn, once for each of the first 100 task types): [OncePerTick] ran a
	// task without a tick, so it did not check for duplicates.
	Unstamped redlock.EventKind = "unstamped"
	// Unconfigured (warn, once): asynq counted a task that was sent back as a failure; see
	// [Configure].
	Unconfigured redlock.EventKind = "unconfigured"
	// Late (warn): this replica gave up enqueuing a tick. Err matches [ErrLate], unless the
	// scheduler was shut down or the tick is a trigger's.
	Late redlock.EventKind = "late"
	// EnqueueFailed (warn): an attempt to enqueue a tick failed. Attempts are repeated until
	// the tick is [Late], and not reported again for the entry until one works.
	EnqueueFailed redlock.EventKind = "enqueue_failed"
	// Warning (warn, once): an entry follows time.Local and the machine is not on UTC, so a
	// replica with another TZ has other ticks.
	Warning redlock.EventKind = "warning"
	// SyncFailed (warn): a [PeriodicTaskManager] could not get its entries and keeps the
	// ones it has.
	SyncFailed redlock.EventKind = "sync_failed"
	// Enqueued (info): this replica enqueued a tick.
	Enqueued redlock.EventKind = "enqueued"
	// EnqueuedElsewhere (info): another replica enqueued the tick first.
	EnqueuedElsewhere redlock.EventKind = "enqueued_elsewhere"
)

// report calls the observer. It logs a panic in it, and survives a runtime.Goexit. s.mu
// must not be held, as the observer may call Entries.
func (s *Scheduler) report(kind redlock.EventKind, name string, tick time.Time, err error) {
	isolate(func() {
		defer func() { _ = recover() }() // of the logger
		defer func() {
			if v := recover(); v != nil {
				slog.Error("redtick: the observer panicked", "panic", v, "event", string(kind), "name", name, "stack", string(debug.Stack()))
			}
		}()
		s.cfg.observe(redlock.Event{Kind: kind, At: time.Now(), Name: name, Tick: tick, Err: err})
	})
}

// isolate calls the user's function f on a new goroutine and waits for it, so that a
// runtime.Goexit in f does not end the caller's goroutine.
func isolate(f func()) {
	var call sync.WaitGroup
	call.Go(f)
	call.Wait()
}

// defaultObserver writes to asynq's logger, or without one to redlock.Log(nil).
func defaultObserver(logger asynq.Logger, lowest asynq.LogLevel) redlock.Observer {
	if logger == nil {
		return redlock.Log(nil)
	}
	return func(e redlock.Event) {
		level, write := asynq.WarnLevel, logger.Warn
		switch {
		case e.Level() < slog.LevelWarn: // an enqueued tick, which asynq's scheduler logs at debug too
			level, write = asynq.DebugLevel, logger.Debug
		case e.Level() > slog.LevelWarn:
			level, write = asynq.ErrorLevel, logger.Error
		}
		text := fmt.Sprintf("asynqadapter: %s %s", e.Kind, e.Name)
		if !e.Tick.IsZero() {
			text = fmt.Sprintf("asynqadapter: %s task %s", e.Kind, withTick(e.Name, e.Tick))
		}
		if e.Err != nil {
			text += ": " + e.Err.Error()
		}
		if level >= cmp.Or(lowest, asynq.InfoLevel) {
			write(text)
		}
	}
}

// ErrLate means that a tick was not enqueued because it was older than
// [WithLateness] allows, so that its task ID may be free again although it ran; or
// because it gave way to a newer tick, or the clock was set back before it.
var ErrLate = errors.New("asynqadapter: tick is too late to be enqueued")

// RequeueError is returned by a middleware for a task that is to run later, because its
// key is busy or no quorum was reached. With [Configure] it does not count as a
// failure of the task.
type RequeueError struct {
	// Name is the mutex's name.
	Name string
	// After is the delay until the task returns. asynq rounds it to whole seconds.
	After time.Duration
	// Err is redlock's reason.
	Err error

	configured *atomic.Bool // set when asynq asks whether the error is a failure
}

func (e *RequeueError) Error() string {
	return fmt.Sprintf("asynqadapter: %q is sent back for %v: %v", e.Name, e.After, e.Err)
}

// Unwrap returns redlock's reason.
func (e *RequeueError) Unwrap() error { return e.Err }

// TaskError is the Err of a middleware's events. It says which task, and why.
type TaskError struct {
	Type, ID, Queue string
	Err             error
}

func (e *TaskError) Error() string {
	return fmt.Sprintf("task %s of type %q in queue %q: %v", e.ID, e.Type, e.Queue, e.Err)
}

// Unwrap returns the reason.
func (e *TaskError) Unwrap() error { return e.Err }

// invalid returns an error that matches [redlock.ErrInvalid].
func invalid(format string, args ...any) error {
	return fmt.Errorf("asynqadapter: %w: "+format, append([]any{redlock.ErrInvalid}, args...)...)
}
