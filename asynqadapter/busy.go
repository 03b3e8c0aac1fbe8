package asynqadapter

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

// Busy is what [Middleware] does with a task whose key another task holds.
type Busy int

const (
	// Requeue sends the task back to come again after [WithRequeueDelay]. With
	// [Configure] that spends no retry. A task without retries left (MaxRetry(0)
	// included) cannot be sent back: asynq would archive it before it asks
	// whether the error is a failure. Such a task waits in its worker instead,
	// as with Wait.
	Requeue Busy = iota
	// Skip ends the task as if it had been done. It is for work that the holder
	// does anyway. A task that meets an earlier delivery of itself, or no
	// quorum, is not skipped but requeued.
	Skip
	// Wait keeps the task and its worker until the key is free, in the order of
	// arrival. When the task's Timeout or Deadline ends first, asynq counts a
	// failure. With as many waiting tasks as workers a server does nothing else.
	Wait
)

// Configure returns cfg so changed that a task which a middleware sends back
// costs nothing: cfg.IsFailure says no to it, cfg.RetryDelayFunc returns its
// delay, and cfg.ErrorHandler does not hear of it, as an [Event] tells it
// already. For all other errors cfg decides as before. Pass the result to
// asynq.NewServer.
//
// Without it a returning task is counted as a failure each time, and comes
// back when asynq's backoff says so; see [Unconfigured].
func Configure(cfg asynq.Config) asynq.Config {
	cfg.IsFailure = excuse(cfg.IsFailure)
	cfg.RetryDelayFunc = delay(cfg.RetryDelayFunc)
	if cfg.ErrorHandler != nil {
		cfg.ErrorHandler = withoutRequeues{cfg.ErrorHandler}
	}
	return cfg
}

func excuse(isFailure func(error) bool) func(error) bool {
	return func(err error) bool {
		var e *RequeueError
		if errors.As(err, &e) {
			e.from.excused.Store(true)
			return false
		}
		return isFailure == nil && err != nil || isFailure != nil && isFailure(err)
	}
}

func delay(next asynq.RetryDelayFunc) asynq.RetryDelayFunc {
	if next == nil {
		next = asynq.DefaultRetryDelayFunc
	}
	return func(n int, err error, task *asynq.Task) time.Duration {
		var e *RequeueError
		if errors.As(err, &e) {
			return e.After
		}
		return next(n, err, task)
	}
}

// requeues notices that [Configure] was forgotten: asynq asks IsFailure right
// after the handler has returned.
type requeues struct {
	first   atomic.Int64 // Unix ms
	excused atomic.Bool
	warning sync.Once
}

const excuseLimit = 2 * time.Second

// count notes a requeue. It returns true once, when earlier ones were not excused.
func (r *requeues) count(now time.Time) (forgotten bool) {
	first := r.first.Load()
	if first == 0 {
		r.first.CompareAndSwap(0, now.UnixMilli())
		return false
	}
	if !r.excused.Load() && now.Sub(time.UnixMilli(first)) > excuseLimit {
		r.warning.Do(func() { forgotten = true })
	}
	return forgotten
}

// spread is d to 1.5 d, so that tasks sent away together do not return together.
func spread(d time.Duration) time.Duration { return d + rand.N(d/2) }

// withoutRequeues is an ErrorHandler that hears of failures only.
type withoutRequeues struct{ asynq.ErrorHandler }

func (h withoutRequeues) HandleError(ctx context.Context, task *asynq.Task, err error) {
	var e *RequeueError
	if !errors.As(err, &e) {
		h.ErrorHandler.HandleError(ctx, task, err)
	}
}
