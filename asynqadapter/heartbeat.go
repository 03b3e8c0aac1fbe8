package asynqadapter

import (
	"runtime"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/internal/ticks"
)

// shared is an asynq.RedisConnOpt for a client that the caller closes.
type shared struct{ redis.UniversalClient }

func (s shared) MakeRedisClient() any { return s }
func (shared) Close() error           { return nil }

// makeMirror makes a stock scheduler that has the same entries and enqueues nothing.
// It writes the heartbeats that asynqmon and asynq.Inspector.SchedulerEntries read;
// their format is internal to asynq.
func (s *Scheduler) makeMirror() {
	if s.cfg.heartbeat == nil {
		return
	}
	s.mirror = asynq.NewScheduler(s.cfg.heartbeat, &asynq.SchedulerOpts{
		HeartbeatInterval: s.opts.HeartbeatInterval, Location: s.opts.Location,
		Logger: s.opts.Logger, LogLevel: max(s.opts.LogLevel, asynq.WarnLevel),
		// asynq calls this on a goroutine of its own for each tick, right before it
		// enqueues. There is no other way to stop it.
		PreEnqueueFunc: func(*asynq.Task, []asynq.Option) { runtime.Goexit() },
	})
}

// show adds an entry to the mirror. asynq counts "@every" from then on, so such an
// entry is added right after a tick. s.mu must be held.
func (s *Scheduler) show(e *entry, now time.Time) {
	_, every := e.schedule.activations.(ticks.Grid)
	if s.mirror == nil || e.shown != "" || every && now.Sub(e.previous) >= time.Second {
		return
	}
	opts := append([]asynq.Option{Name(e.name)}, e.opts...)
	e.shown, _ = s.mirror.Register(e.spec, e.task, opts...) // the spec was parsed before
}

// hide removes an entry from the mirror. s.mu must be held.
func (s *Scheduler) hide(e *entry) {
	if e.shown != "" {
		_ = s.mirror.Unregister(e.shown)
		e.shown = ""
	}
}
