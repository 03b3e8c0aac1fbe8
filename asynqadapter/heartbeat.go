package asynqadapter

import (
	"runtime"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/internal/ticks"
)

// mirror is a stock asynq.Scheduler that holds the same entries and enqueues
// nothing: it is there for its heartbeats, which asynqmon and
// asynq.Inspector.SchedulerEntries read and only asynq itself can write. A nil
// mirror does nothing. It is guarded by the Scheduler's mutex.
type mirror struct {
	scheduler *asynq.Scheduler
	ids       map[*entry]string
}

// heartbeat makes the stock scheduler to write heartbeats with.
type heartbeat func(*asynq.SchedulerOpts) *asynq.Scheduler

func heartbeatTo(r asynq.RedisConnOpt) heartbeat {
	return func(opts *asynq.SchedulerOpts) *asynq.Scheduler { return asynq.NewScheduler(r, opts) }
}

func heartbeatThrough(c redis.UniversalClient) heartbeat {
	return func(opts *asynq.SchedulerOpts) *asynq.Scheduler { return asynq.NewSchedulerFromRedisClient(c, opts) }
}

func (s *Scheduler) newMirror() (*mirror, error) {
	if s.cfg.heartbeat == nil {
		return nil, nil
	}
	m := &mirror{ids: map[*entry]string{}, scheduler: s.cfg.heartbeat(&asynq.SchedulerOpts{
		HeartbeatInterval: s.opts.HeartbeatInterval, Location: s.opts.Location,
		Logger: s.opts.Logger, LogLevel: max(s.opts.LogLevel, asynq.WarnLevel),
		// asynq calls this on a goroutine of the tick's own, right before it
		// enqueues. It offers no other veto.
		PreEnqueueFunc: func(*asynq.Task, []asynq.Option) { runtime.Goexit() },
	})}
	return m, m.scheduler.Start()
}

// add shows an entry. One with "@every" has to wait for a tick, because asynq
// counts its interval from here on.
func (m *mirror) add(e *entry) {
	if _, every := e.schedule.activations.(ticks.Grid); m != nil && !every {
		m.register(e)
	}
}

// ticked is told of each tick that was taken.
func (m *mirror) ticked(e *entry, now time.Time) {
	if m == nil || m.ids[e] != "" || now.Sub(e.previous) >= time.Second {
		return
	}
	m.register(e)
}

func (m *mirror) register(e *entry) {
	opts := append([]asynq.Option{Name(e.name)}, e.opts...)
	if id, err := m.scheduler.Register(e.spec, e.task, opts...); err == nil { // the spec was parsed before
		m.ids[e] = id
	}
}

func (m *mirror) remove(e *entry) {
	if m != nil && m.ids[e] != "" {
		_ = m.scheduler.Unregister(m.ids[e])
		delete(m.ids, e)
	}
}

// renew is for a clock that was set back, which asynq's scheduler does not notice.
func (m *mirror) renew(e *entry) {
	m.remove(e)
	m.add(e)
}

func (m *mirror) close() {
	if m != nil {
		m.scheduler.Shutdown()
	}
}
