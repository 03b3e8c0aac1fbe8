package asynqadapter

import (
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// DefaultLateness is that of [WithLateness].
const DefaultLateness = 5 * time.Minute

// SchedulerOption changes a default of [NewScheduler] or [NewPeriodicTaskManager].
type SchedulerOption func(*schedulerConfig)

type schedulerConfig struct {
	managed    bool // its entries are a provider's
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

// WithNewestOnly enqueues only the newest of the ticks that an entry missed,
// whatever the reason: a pause of the process, a step of the clock, or Redis
// being away, where a tick that is still tried gives way to the next one. A
// [Late] event says what was left out. By default all that are not older
// than the lateness are enqueued, except after a clock was set forward.
func WithNewestOnly() SchedulerOption { return func(c *schedulerConfig) { c.newestOnly = true } }

// WithHeartbeat shows the entries in asynqmon and asynq.Inspector.SchedulerEntries,
// with their next and previous enqueue times. r is the Redis that the client uses.
//
// asynq's format is internal to it, so a second, stock scheduler of asynq
// writes it, on a connection of its own; it holds the same entries and enqueues
// nothing. What it shows differs from [Scheduler.Entries] in three ways: the ID
// is asynq's (the name is among the options), the previous time is a tick of
// this process, wherever it was enqueued, and an entry with "@every" appears with its
// first tick. As with asynq, each replica shows its own.
// [NewPeriodicTaskManager] does this without the option.
func WithHeartbeat(r asynq.RedisConnOpt) SchedulerOption {
	return func(c *schedulerConfig) {
		if c.heartbeat = r; isNil(r) {
			c.err = invalid("the Redis for WithHeartbeat is nil; pass what the client uses")
		}
	}
}

// WithClock sets where the scheduler reads the wall clock, for tests and demos
// that make replicas disagree. Its timers keep the time of the process. Default
// time.Now.
func WithClock(now func() time.Time) SchedulerOption {
	return func(c *schedulerConfig) {
		if c.now = now; now == nil {
			c.err = invalid("clock is nil; leave WithClock out for time.Now")
		}
	}
}

// WithObserver reports events. What they are about waits for it, so it must be
// quick; it must be safe for concurrent use, and a panic in it is written to
// slog.Default. Default redlock.Log(nil), or asynq.SchedulerOpts.Logger where that
// is set, which gets all that its LogLevel allows.
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
