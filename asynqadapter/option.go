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
// Locker's apply.
func WithMutex(opts ...redlock.MutexOption) MiddlewareOption {
	return middlewareOption(func(c *guardConfig) { c.mutex = append(c.mutex, opts...) })
}

// WithJob passes options to the jobs whose ticks are claimed, such as
// redlock.WithRetention. Default none: the Locker's apply.
func WithJob(opts ...redlock.JobOption) OnceOption {
	return onceOption(func(c *guardConfig) { c.job = append(c.job, opts...) })
}

func newGuardConfig[O any](opts []O, apply func(O, *guardConfig)) (guardConfig, error) {
	c := guardConfig{
		key:          func(_ context.Context, task *asynq.Task) string { return Key(task) },
		maxWait:      DefaultMaxWait,
		requeueDelay: DefaultRequeueDelay,
	}
	for i, o := range opts {
		if any(o) == nil {
			return c, invalid("option %d is nil; leave it out", i+1)
		}
		apply(o, &c)
	}
	return c, c.check()
}

func (c *guardConfig) check() error {
	switch {
	case c.key == nil:
		return invalid("key function is nil; leave WithKey out for the task's type and payload")
	case c.busy < Requeue || c.busy > Wait:
		return invalid("busy policy is %d, must be Requeue, Skip or Wait", c.busy)
	case c.maxWait < 0 || c.maxWait > time.Minute:
		return invalid("max wait is %v, must be 0 to 1m (default %v); for as long as it takes, pass WithBusy(Wait)", c.maxWait, DefaultMaxWait)
	case c.requeueDelay < time.Second || c.requeueDelay > 24*time.Hour:
		return invalid("requeue delay is %v, must be 1s to 24h: asynq stores the return in whole seconds", c.requeueDelay)
	}
	return nil
}
