package asynqadapter

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
)

// EventKind says what an [Event] is about.
type EventKind string

// The kinds of events, with the level the default observer logs them at.
const (
	// Skipped (info): the key was busy and the task was not run, by the policy [Skip].
	Skipped EventKind = "skipped"
	// Requeued (debug): the task was sent back to run later; Err says why.
	Requeued EventKind = "requeued"
	// Waiting (info): the task has no retries left to be sent back with, so it waits in its worker.
	Waiting EventKind = "waiting"
	// Dropped (info): the task was a duplicate of a tick that another task has claimed.
	Dropped EventKind = "dropped"
	// Unstamped (warn, once per task type): [OncePerTick] ran a task that has no tick, like any other task.
	Unstamped EventKind = "unstamped"
	// Stale (warn): the tick is too old for anybody to know whether it ran; the task is archived.
	Stale EventKind = "stale"
	// Lost (warn): the lease ended before its handler did, so another handler of the key may have run at the same time.
	Lost EventKind = "lost"
	// Unconfigured (warn, once): a task that was sent back was counted as a failure; see [Configure].
	Unconfigured EventKind = "unconfigured"
	// Late (warn): a tick was not enqueued by this replica because it is too old; Err matches [ErrLate].
	Late EventKind = "late"
	// EnqueueFailed (warn): an attempt to enqueue a tick failed; it is repeated until the tick is [Late].
	EnqueueFailed EventKind = "enqueue_failed"
	// Enqueued (debug): this replica enqueued a tick.
	Enqueued EventKind = "enqueued"
	// EnqueuedElsewhere (debug): another replica was first.
	EnqueuedElsewhere EventKind = "enqueued_elsewhere"
	// LeadFailed (warn): the factory passed to [Lead] failed, or what it made did not start.
	LeadFailed EventKind = "lead_failed"
)

// Event is one thing that happened to a task or a tick. Fields that do not
// apply are zero.
type Event struct {
	Kind EventKind
	// Name is the mutex's name for a middleware, the entry's for a [Scheduler].
	Name     string
	TaskType string
	TaskID   string
	Tick     time.Time
	// After is when a requeued task comes back, or an enqueue is tried again.
	After time.Duration
	Err   error
}

// Observer is told about events on the goroutine they happen on, so it must be
// quick and safe for concurrent use. A panic in it is swallowed.
type Observer func(Event)

func (o Observer) tell(e Event) {
	defer func() { _ = recover() }()
	o(e)
}

// logTo is the default observer.
func logTo(logger *slog.Logger) Observer {
	return func(e Event) {
		logger.LogAttrs(context.Background(), e.level(), "asynqadapter: "+string(e.Kind), e.attributes()...)
	}
}

// logDefault looks the default logger up late, so that a program may set it after its constructors ran.
func logDefault(e Event) { logTo(slog.Default())(e) }

func (e Event) level() slog.Level {
	switch e.Kind {
	case Enqueued, EnqueuedElsewhere, Requeued:
		return slog.LevelDebug
	case Skipped, Waiting, Dropped:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func (e Event) attributes() []slog.Attr {
	var all []slog.Attr
	add := func(there bool, a slog.Attr) {
		if there {
			all = append(all, a)
		}
	}
	add(e.Name != "", slog.String("name", e.Name))
	add(e.TaskType != "", slog.String("type", e.TaskType))
	add(e.TaskID != "", slog.String("task", e.TaskID))
	add(!e.Tick.IsZero(), slog.Time("tick", e.Tick))
	add(e.After != 0, slog.Duration("after", e.After))
	add(e.Err != nil, slog.Any("error", e.Err))
	return all
}

// logToAsynq writes to the logger of an asynq.SchedulerOpts.
func logToAsynq(logger asynq.Logger, lowest asynq.LogLevel) Observer {
	if lowest == 0 {
		lowest = asynq.InfoLevel
	}
	return func(e Event) {
		line := fmt.Sprintf("asynqadapter: %s %v", e.Kind, e.attributes())
		switch level := e.level(); {
		case level == slog.LevelDebug && lowest <= asynq.DebugLevel:
			logger.Debug(line)
		case level == slog.LevelInfo && lowest <= asynq.InfoLevel:
			logger.Info(line)
		case level == slog.LevelWarn && lowest <= asynq.WarnLevel:
			logger.Warn(line)
		}
	}
}
