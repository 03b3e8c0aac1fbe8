package asynqadapter

import (
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// The kinds of events that this package adds to redlock's. Name is the mutex's
// name for a middleware, the entry's for a [Scheduler], whose task IDs are the
// name, "@" and the tick. Err says why, and for a middleware it is a
// [*TaskError], which says which task.
//
// What cannot work whatever happens, such as a task's key that is refused or an
// option that PreEnqueueFunc put on a task, is a redlock.Refused whose Err
// matches redlock.ErrInvalid. The levels below are those of Event.Level; where
// no quorum could be had, all are warnings.
const (
	// Requeued (debug): the task was sent back to run later.
	Requeued redlock.EventKind = "requeued"
	// Skipped (debug): the key was busy and the task was not run, by the policy [Skip].
	Skipped redlock.EventKind = "skipped"
	// Waiting (debug): the task has no retries left to be sent back with, so it waits in its worker.
	Waiting redlock.EventKind = "waiting"
	// Dropped (debug): the task was a duplicate of a tick that another task has claimed, or that is done.
	Dropped redlock.EventKind = "dropped"
	// Unstamped (warn, once for each of the first 100 task types): [OncePerTick] ran a task that has no tick, like any other task.
	Unstamped redlock.EventKind = "unstamped"
	// Unconfigured (warn, once): a task that was sent back was counted as a failure; see [Configure].
	Unconfigured redlock.EventKind = "unconfigured"
	// Late (warn): a tick was not enqueued by this replica; Err matches [ErrLate] unless the scheduler was shut down, or
	// the tick is that of a trigger.
	Late redlock.EventKind = "late"
	// EnqueueFailed (warn): an attempt to enqueue a tick failed; it is repeated until the tick is [Late]. It is told once for an
	// entry until an attempt works.
	EnqueueFailed redlock.EventKind = "enqueue_failed"
	// Warning (warn, once): an entry follows time.Local, which is not UTC here, so a replica with another TZ has other ticks.
	Warning redlock.EventKind = "warning"
	// SyncFailed (warn): a [PeriodicTaskManager] could not learn its entries and keeps those it has.
	SyncFailed redlock.EventKind = "sync_failed"
	// Enqueued (info): this replica enqueued a tick.
	Enqueued redlock.EventKind = "enqueued"
	// EnqueuedElsewhere (info): another replica was first.
	EnqueuedElsewhere redlock.EventKind = "enqueued_elsewhere"
)

type observer redlock.Observer

// tell survives a panic of the observer, which it logs, and a runtime.Goexit.
func (o observer) tell(e redlock.Event) {
	e.At = time.Now()
	apart(func() {
		defer func() { _ = recover() }() // of the logger
		defer func() {
			if v := recover(); v != nil {
				slog.Error("redtick: the observer panicked", "panic", v, "event", string(e.Kind), "name", e.Name, "stack", string(debug.Stack()))
			}
		}()
		o(e)
	})
}

// apart calls f, which is the user's, on a goroutine of its own and waits for it: a
// runtime.Goexit in f would end the caller's tries or syncs.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// defaultObserver writes to asynq's logger where there is one.
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
		case e.Level() < slog.LevelWarn: // each tick's normal end, which asynq's scheduler logs so
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
