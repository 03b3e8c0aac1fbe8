package asynqadapter

import (
	"log/slog"
	"runtime/debug"
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

type observer redlock.Observer

// tell calls the observer. It logs a panic in it, and survives a runtime.Goexit.
func (o observer) tell(e redlock.Event) {
	e.At = time.Now()
	isolate(func() {
		defer func() { _ = recover() }() // of the logger
		defer func() {
			if v := recover(); v != nil {
				slog.Error("redtick: the observer panicked", "panic", v, "event", string(e.Kind), "name", e.Name, "stack", string(debug.Stack()))
			}
		}()
		o(e)
	})
}

// isolate calls the user's function f on a new goroutine and waits for it, so that a
// runtime.Goexit in f does not end the caller's goroutine.
func isolate(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// defaultObserver writes to asynq's logger, or without one to redlock.Log(nil).
func defaultObserver(logger asynq.Logger, lowest asynq.LogLevel) observer {
	if logger == nil {
		return observer(redlock.Log(nil))
	}
	if lowest == 0 {
		lowest = asynq.InfoLevel
	}
	return func(e redlock.Event) {
		level, write := asynq.WarnLevel, logger.Warn
		switch {
		case e.Level() < slog.LevelWarn: // an enqueued tick, which asynq's scheduler logs at debug too
			level, write = asynq.DebugLevel, logger.Debug
		case e.Level() > slog.LevelWarn:
			level, write = asynq.ErrorLevel, logger.Error
		}
		if level >= lowest {
			write("asynqadapter: " + text(e))
		}
	}
}

func text(e redlock.Event) string {
	all := string(e.Kind) + " " + e.Name
	if !e.Tick.IsZero() {
		all = string(e.Kind) + " task " + withTick(e.Name, e.Tick)
	}
	if e.Err != nil {
		all += ": " + e.Err.Error()
	}
	return all
}
