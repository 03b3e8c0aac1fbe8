package asynqadapter

import (
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// DefaultLateness is the default of [WithLateness].
const DefaultLateness = 5 * time.Minute

// SchedulerOption changes a default of [NewScheduler] or [NewPeriodicTaskManager].
type SchedulerOption func(*schedulerConfig)

type schedulerConfig struct {
	managed    bool // the entries come from a manager's provider
	lateness   time.Duration
	newestOnly bool
	heartbeat  asynq.RedisConnOpt // nil for none
	triggers   *redlock.Locker
	observe    observer
	now        func() time.Time
	err        error
}

// WithLateness sets how late a replica may still enqueue a tick: after a pause
// of its process, or while Redis is away. 1 s to 24 h, default 5 min. It also
// sets how long finished tasks are kept; see [Scheduler].
func WithLateness(d time.Duration) SchedulerOption {
	return func(c *schedulerConfig) { c.lateness = d }
}

// WithNewestOnly enqueues only the newest tick that an entry missed, whatever the
// reason: a pause of the process, a step of the clock, or an outage of Redis, during
// which a tick gives way to the next one. A [Late] event says what was left out. By
// default all missed ticks within the lateness are enqueued, except after the clock
// was set forward.
func WithNewestOnly() SchedulerOption { return func(c *schedulerConfig) { c.newestOnly = true } }

// WithHeartbeat shows the entries in asynqmon and asynq.Inspector.SchedulerEntries,
// with their next and previous enqueue times. r is the Redis that the client uses.
//
// The format is internal to asynq. So a stock asynq scheduler with the same entries,
// on a connection of its own, writes it and enqueues nothing. What it shows differs
// from [Scheduler.Entries] in three ways: the ID is asynq's (the name is among the
// options), the previous time is this process's last tick, even if another replica
// enqueued it, and an "@every" entry appears at its first tick. As with asynq, each
// replica shows its own entries.
// [NewPeriodicTaskManager] does this without the option.
func WithHeartbeat(r asynq.RedisConnOpt) SchedulerOption {
	return func(c *schedulerConfig) {
		if c.heartbeat = r; isNil(r) {
			c.err = invalid("the Redis for WithHeartbeat is nil; pass what the client uses")
		}
	}
}

// WithClock sets the scheduler's wall clock, for tests and demos in which replicas'
// clocks differ. Timers are not affected. Default time.Now.
func WithClock(now func() time.Time) SchedulerOption {
	return func(c *schedulerConfig) {
		if c.now = now; now == nil {
			c.err = invalid("clock is nil; leave WithClock out for time.Now")
		}
	}
}

// WithObserver sets the function that gets the scheduler's events. The scheduler waits
// for it, so it must be quick, and it must be safe for concurrent use. A panic in it is
// logged to slog.Default. The default is asynq.SchedulerOpts.Logger, at the levels
// that LogLevel allows, or redlock.Log(nil) if no Logger is set.
func WithObserver(o redlock.Observer) SchedulerOption {
	return func(c *schedulerConfig) {
		if c.observe = observer(o); o == nil {
			c.err = invalid("observer is nil; leave WithObserver out to log warnings, or pass a function that does nothing")
		}
	}
}

func newSchedulerConfig(opts []SchedulerOption) (schedulerConfig, error) {
	c := schedulerConfig{lateness: DefaultLateness, now: time.Now}
	for i, o := range opts {
		if o == nil {
			return c, invalid("option %d is nil; leave it out", i+1)
		}
		o(&c)
	}
	if c.lateness < time.Second || c.lateness > 24*time.Hour {
		return c, invalid("lateness is %v, must be 1s to 24h (default %v)", c.lateness, DefaultLateness)
	}
	return c, c.err
}
