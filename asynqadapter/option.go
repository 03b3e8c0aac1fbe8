package asynqadapter

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// Defaults of the options.
const (
	DefaultRequeueDelay = 5 * time.Second
	DefaultLateness     = 5 * time.Minute
)

// KeyFunc names what a task must not do twice at a time. The name is used as
// the mutex's, after the Locker's prefix, so it may be shared with code that
// has nothing to do with asynq. It must not be empty.
type KeyFunc func(ctx context.Context, task *asynq.Task) string

// Option changes a default of a constructor of this package. Each option says
// which constructors know it; the others refuse it.
type Option func(*config)

type config struct {
	key          KeyFunc
	busy         Busy
	requeueDelay time.Duration
	lateness     time.Duration
	mutex        []redlock.JobOption
	observe      Observer
	now          func() time.Time
	used         []string
}

func (c *config) use(name string) { c.used = append(c.used, name) }

// WithKey sets how [Middleware] and [OncePerTick] name a task's mutex. Default
// [Key]: the task's type and a digest of its payload.
func WithKey(f KeyFunc) Option {
	return func(c *config) { c.use("WithKey"); c.key = f }
}

// WithBusy sets what [Middleware] does with a task whose key is busy. Default
// [Requeue].
func WithBusy(b Busy) Option {
	return func(c *config) { c.use("WithBusy"); c.busy = b }
}

// WithRequeueDelay sets how long [Middleware] and [OncePerTick] send a task
// away: a random time from d to 1.5 d. 1 s to 24 h, default 5 s. asynq looks
// for returning tasks every Config.DelayedTaskCheckInterval, and stores the
// instant in whole seconds.
func WithRequeueDelay(d time.Duration) Option {
	return func(c *config) { c.use("WithRequeueDelay"); c.requeueDelay = d }
}

// WithMutex passes options to the mutexes of [Middleware] and [OncePerTick],
// such as redlock.WithTTL. Default none: those of the Locker apply.
func WithMutex(opts ...redlock.JobOption) Option {
	return func(c *config) { c.use("WithMutex"); c.mutex = append(c.mutex, opts...) }
}

// WithLateness sets how late a replica may still enqueue a tick through
// [Scheduler]: after a pause of its process, or while Redis is away. 1 s to
// 24 h, default 5 min. It also sets how long finished tasks are kept; see
// [Scheduler].
func WithLateness(d time.Duration) Option {
	return func(c *config) { c.use("WithLateness"); c.lateness = d }
}

// WithClock sets where [Scheduler] reads the wall clock, for tests and demos
// that make replicas disagree. Its timers keep the time of the process. Default
// time.Now.
func WithClock(now func() time.Time) Option {
	return func(c *config) { c.use("WithClock"); c.now = now }
}

// WithObserver reports events. Every constructor knows it. By default each is
// one line of slog.Default, or of asynq.SchedulerOpts.Logger where it is set.
func WithObserver(o Observer) Option {
	return func(c *config) { c.use("WithObserver"); c.observe = o }
}

// newConfig applies opts for a constructor that knows only some of them.
func newConfig(constructor string, known []string, opts []Option) (config, error) {
	c := config{
		key:          func(_ context.Context, task *asynq.Task) string { return Key(task) },
		requeueDelay: DefaultRequeueDelay,
		lateness:     DefaultLateness,
		observe:      logDefault,
		now:          time.Now,
	}
	for i, o := range opts {
		if o == nil {
			return c, invalid("option %d of %s is nil; leave it out", i, constructor)
		}
		o(&c)
	}
	for _, name := range c.used {
		if !slices.Contains(known, name) {
			return c, invalid("%s has no use for %s; it knows %s", constructor, name, strings.Join(known, ", "))
		}
	}
	return c, c.check()
}

func (c *config) check() error {
	switch {
	case c.key == nil:
		return invalid("key function is nil; leave WithKey out for the task's type and payload")
	case c.busy < Requeue || c.busy > Wait:
		return invalid("busy policy is %d, must be Requeue, Skip or Wait", c.busy)
	case c.requeueDelay < time.Second || c.requeueDelay > 24*time.Hour:
		return invalid("requeue delay is %v, must be 1s to 24h: asynq stores the return in whole seconds", c.requeueDelay)
	case c.lateness < time.Second || c.lateness > 24*time.Hour:
		return invalid("lateness is %v, must be 1s to 24h (default %v)", c.lateness, DefaultLateness)
	case c.observe == nil:
		return invalid("observer is nil; leave WithObserver out to log through slog")
	case c.now == nil:
		return invalid("clock is nil; leave WithClock out for time.Now")
	}
	return nil
}
