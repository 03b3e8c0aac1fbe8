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
//
// A task that is sent back returns in whole seconds, when asynq next looks for
// such tasks, so work that is serial per key would hardly get on by sending
// back alone. Measured with asynq's default intervals, 10 workers, 100 tasks of
// one key (those of 20 ms alone, those of 200 ms beside a queue of 100 others of
// 100 ms, which the workers need 1 s for without them):
//
//	                      20 ms each             200 ms each      the others
//	Requeue, no wait      24 in 60 s, 590 back   13 in 60 s       1.2 s
//	Requeue, up to 1 s    100 in 2.2 s, 0 back   100 in 41 s      9.8 s
//	Requeue, up to 2 s    100 in 2.2 s, 0 back   100 in 20 s      16 s
//	Wait                  100 in 2.2 s, 0 back
//
// So [WithMaxWait] is best a few times what a task takes, as long as a worker
// that waits is one less for other tasks.
type Busy int

const (
	// Requeue waits for up to [WithMaxWait], then sends the task back to come
	// again after [WithRequeueDelay]. With [Configure] that spends no retry. A
	// task that comes again after its Deadline is a failure to asynq, which
	// archives it in the end, so leave time for what it may have to wait.
	//
	// A task without retries left (MaxRetry(0) included) cannot be sent back:
	// asynq would archive it before it asks whether the error is a failure. Such
	// a task waits in its worker instead, as with Wait.
	Requeue Busy = iota
	// Skip ends the task as if it had been done. It is for work that the holder
	// does anyway. A task that meets an earlier delivery of itself, or no
	// quorum, is not skipped but requeued.
	Skip
	// Wait keeps the task and its worker until the key is free, in the order of
	// arrival. When the task's Timeout or Deadline ends first, asynq counts a
	// failure, and the time it waited is part of both. With as many waiting
	// tasks as workers a server does nothing else.
	Wait
)

// Configure returns cfg so changed that a task which a middleware sends back
// costs nothing: cfg.IsFailure says no to it, cfg.RetryDelayFunc returns its
// delay, and cfg.ErrorHandler does not hear of it, as a [Requeued] event says it
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
			if e.from != nil { // else a handler has made it
				e.from.excused.Store(true)
			}
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
	first   atomic.Pointer[time.Time]
	excused atomic.Bool
	warning sync.Once
}

const excuseLimit = 2 * time.Second

// count notes a requeue. It returns true once, when earlier ones were not excused.
// Clocks that are set do not mislead it: now has a monotonic reading.
func (r *requeues) count(now time.Time) (forgotten bool) {
	first := r.first.Load()
	if first == nil {
		r.first.CompareAndSwap(nil, &now)
		return false
	}
	if !r.excused.Load() && now.Sub(*first) > excuseLimit {
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
