package asynqadapter

import (
	"runtime"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/internal/ticks"
)

// shared is a client that is the caller's to close, as what asynq connects with.
type shared struct{ redis.UniversalClient }

func (s shared) MakeRedisClient() any { return s }
func (shared) Close() error           { return nil }

// makeMirror makes a stock scheduler that holds the same entries and enqueues
// nothing: it is there for its heartbeats, which asynqmon and
// asynq.Inspector.SchedulerEntries read and only asynq itself can write.
func (s *Scheduler) makeMirror() {
	if s.cfg.heartbeat == nil {
		return
	}
	s.mirror = asynq.NewScheduler(s.cfg.heartbeat, &asynq.SchedulerOpts{
		HeartbeatInterval: s.opts.HeartbeatInterval, Location: s.opts.Location,
		Logger: s.opts.Logger, LogLevel: max(s.opts.LogLevel, asynq.WarnLevel),
		// asynq calls this on a goroutine of the tick's own, right before it
		// enqueues. It offers no other veto.
		PreEnqueueFunc: func(*asynq.Task, []asynq.Option) { runtime.Goexit() },
	})
}

// show has the mirror hold an entry. One with "@every" waits for a tick, because
// asynq counts its interval from here on. It is called with the mutex held.
func (s *Scheduler) show(e *entry, now time.Time) {
	_, every := e.schedule.activations.(ticks.Grid)
	if s.state != running || s.mirror == nil || e.shown != "" || every && now.Sub(e.previous) >= time.Second {
		return
	}
	opts := append([]asynq.Option{Name(e.name)}, e.opts...)
	e.shown, _ = s.mirror.Register(e.spec, e.task, opts...) // the spec was parsed before
}

// hide is called with the mutex held.
func (s *Scheduler) hide(e *entry) {
	if e.shown != "" {
		_ = s.mirror.Unregister(e.shown)
		e.shown = ""
	}
}
