package asynqadapter

import (
	"context"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// Defaults of the options.
const (
	DefaultRequeueDelay = 5 * time.Second
	DefaultMaxWait      = time.Second
)

// KeyFunc returns a task's key. Tasks with the same key exclude each other. The key is
// the name of a mutex, after the Locker's prefix, so code that does not use asynq may
// lock it too. It must not be empty.
type KeyFunc func(ctx context.Context, task *asynq.Task) string

// MiddlewareOption changes a default of [Middleware].
type MiddlewareOption interface{ middleware(*guardConfig) }

// OnceOption changes a default of [OncePerTick].
type OnceOption interface{ once(*guardConfig) }

// TaskOption changes a default of [Middleware] or [OncePerTick].
type TaskOption interface {
	MiddlewareOption
	OnceOption
}

type guardConfig struct {
	key          KeyFunc
	busy         Busy
	maxWait      time.Duration
	requeueDelay time.Duration
	mutex        []redlock.MutexOption
	job          []redlock.JobOption
}

type (
	middlewareOption func(*guardConfig)
	onceOption       func(*guardConfig)
	taskOption       func(*guardConfig)
)

func (o middlewareOption) middleware(c *guardConfig) { o(c) }
func (o onceOption) once(c *guardConfig)             { o(c) }
func (o taskOption) middleware(c *guardConfig)       { o(c) }
func (o taskOption) once(c *guardConfig)             { o(c) }

// WithKey sets the key of a task. Default [Key]: the task's type and a digest of its
// payload. A task with an invalid key (empty, or over 1,024 bytes) is archived, with a
// redlock.Refused event.
func WithKey(f KeyFunc) TaskOption {
	return taskOption(func(c *guardConfig) { c.key = f })
}

// WithRequeueDelay sets after how long a task that is sent back returns: a random time
// from d to 1.5 d. d is 1 s to 24 h, default 5 s. asynq stores the return in whole
// seconds and polls for it every Config.DelayedTaskCheckInterval.
func WithRequeueDelay(d time.Duration) TaskOption {
	return taskOption(func(c *guardConfig) { c.requeueDelay = d })
}

// WithBusy sets what happens to a task whose key is busy. Default [Requeue].
func WithBusy(b Busy) MiddlewareOption {
	return middlewareOption(func(c *guardConfig) { c.busy = b })
}

// WithMaxWait sets how long a worker waits for a busy key before it sends the
// task back. 0 (at once) to 1 min, default 1 s. See [Busy] for measurements.
func WithMaxWait(d time.Duration) MiddlewareOption {
	return middlewareOption(func(c *guardConfig) { c.maxWait = d })
}

// WithMutex passes options to the mutexes, such as redlock.WithTTL. Default none: the
// Locker's apply. The holder is the task and the process in any case, so that a task is
// known when asynq delivers it again.
func WithMutex(opts ...redlock.MutexOption) MiddlewareOption {
	return middlewareOption(func(c *guardConfig) { c.mutex = append(c.mutex, opts...) })
}

// WithJob passes options to the jobs whose ticks are claimed, such as
// redlock.WithRetention. Default none: the Locker's apply. The holder is as with
// [WithMutex], and the owner is the task.
func WithJob(opts ...redlock.JobOption) OnceOption {
	return onceOption(func(c *guardConfig) { c.job = append(c.job, opts...) })
}

// DefaultLateness is the default of [WithLateness].
const DefaultLateness = 5 * time.Minute

// SchedulerOption changes a default of [NewScheduler] or [NewPeriodicTaskManager].
type SchedulerOption func(*schedulerConfig)

type schedulerConfig struct {
	managed    bool // the entries come from a manager's provider
	redis      any  // what a manager connects with; nil for the client
	lateness   time.Duration
	newestOnly bool
	heartbeat  asynq.RedisConnOpt // nil for none
	triggers   *redlock.Locker
	observe    redlock.Observer
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
	return func(c *schedulerConfig) { c.now = now }
}

// WithObserver sets the function that gets the scheduler's events. The scheduler waits
// for it, so it must be quick, and it must be safe for concurrent use. A panic in it is
// logged to slog.Default. The default is asynq.SchedulerOpts.Logger, at the levels
// that LogLevel allows, or redlock.Log(nil) if no Logger is set.
func WithObserver(o redlock.Observer) SchedulerOption {
	return func(c *schedulerConfig) { c.observe = o }
}

func newSchedulerConfig(opts asynq.SchedulerOpts, more []SchedulerOption) (schedulerConfig, error) {
	c := schedulerConfig{lateness: DefaultLateness, now: time.Now, observe: defaultObserver(opts.Logger, opts.LogLevel)}
	for i, o := range more {
		if o == nil {
			return c, invalid("option %d is nil; leave it out", i+1)
		}
		o(&c)
	}
	switch {
	case c.now == nil:
		return c, invalid("clock is nil; leave WithClock out for time.Now")
	case c.observe == nil:
		return c, invalid("observer is nil; leave WithObserver out to log warnings, or pass a function that does nothing")
	case c.lateness < time.Second || c.lateness > 24*time.Hour:
		return c, invalid("lateness is %v, must be 1s to 24h (default %v)", c.lateness, DefaultLateness)
	}
	return c, c.err
}
