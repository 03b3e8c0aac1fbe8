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
// asynq polls for tasks that were sent back and counts their delay in whole seconds.
// So sending back alone makes slow progress with many tasks of one key. The table
// shows 100 tasks of one key with 10 workers and asynq's default intervals. Those of
// 20 ms ran alone. Those of 200 ms ran beside 100 other tasks of 100 ms each, which
// take 1 s by themselves:
//
//	                      20 ms each             200 ms each      the others
//	Requeue, no wait      24 in 60 s, 590 back   13 in 60 s       1.2 s
//	Requeue, up to 1 s    100 in 2.2 s, 0 back   100 in 41 s      9.8 s
//	Requeue, up to 2 s    100 in 2.2 s, 0 back   100 in 20 s      16 s
//	Wait                  100 in 2.2 s, 0 back
//
// A good [WithMaxWait] is a few times what a task takes. But a worker that waits is
// not available to other tasks.
type Busy int

const (
	// Requeue waits for up to [WithMaxWait], then sends the task back to return
	// after [WithRequeueDelay]. With [Configure] that spends no retry. A task that
	// returns after its Deadline fails, and asynq archives it in the end, so a
	// Deadline must leave time for waiting.
	//
	// A task without retries left (or with MaxRetry(0)) cannot be sent back: asynq
	// archives it without calling IsFailure. Such a task waits in its worker
	// instead, as with Wait.
	Requeue Busy = iota
	// Skip ends the task as if it were done, for work that the holder does anyway.
	// When the holder is an earlier delivery of the same task, or there is no
	// quorum, the task is requeued instead.
	Skip
	// Wait keeps the task in its worker until the key is free; tasks take turns in
	// the order of arrival. Waiting counts toward the task's Timeout and Deadline;
	// when one of them ends first, the task fails. A server whose workers all wait
	// does nothing else.
	Wait
)

// Configure returns cfg changed so that a task which a middleware sends back spends
// no retry. For a [RequeueError], IsFailure returns false, RetryDelayFunc returns
// its delay, and ErrorHandler is not called, as there is a [Requeued] event. For
// other errors cfg's own functions decide. Pass the result to asynq.NewServer.
//
// Without Configure, asynq counts a failure each time a task is sent back, and
// returns it after asynq's own backoff; see [Unconfigured].
func Configure(cfg asynq.Config) asynq.Config {
	cfg.IsFailure = isFailureFunc(cfg.IsFailure)
	cfg.RetryDelayFunc = retryDelayFunc(cfg.RetryDelayFunc)
	if cfg.ErrorHandler != nil {
		cfg.ErrorHandler = withoutRequeues{cfg.ErrorHandler}
	}
	return cfg
}

func isFailureFunc(isFailure func(error) bool) func(error) bool {
	return func(err error) bool {
		var e *RequeueError
		if errors.As(err, &e) {
			if e.from != nil { // nil if a handler made it
				e.from.configured.Store(true)
			}
			return false
		}
		return isFailure == nil && err != nil || isFailure != nil && isFailure(err)
	}
}

func retryDelayFunc(next asynq.RetryDelayFunc) asynq.RetryDelayFunc {
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

// requeues detects that [Configure] was not used: asynq calls IsFailure right after
// the handler returns.
type requeues struct {
	first      atomic.Pointer[time.Time]
	configured atomic.Bool
	warning    sync.Once
}

const configureLimit = 2 * time.Second

// count notes a requeue and reports, once, that IsFailure was not called for earlier
// ones. now must have a monotonic reading, so that setting the clock does not matter.
func (r *requeues) count(now time.Time) (unconfigured bool) {
	first := r.first.Load()
	if first == nil {
		r.first.CompareAndSwap(nil, &now)
		return false
	}
	if !r.configured.Load() && now.Sub(*first) > configureLimit {
		r.warning.Do(func() { unconfigured = true })
	}
	return unconfigured
}

// jitter returns d to 1.5 d, so that tasks sent back together do not return together.
func jitter(d time.Duration) time.Duration { return d + rand.N(d/2) }

// withoutRequeues is an ErrorHandler that is called for failures only.
type withoutRequeues struct{ asynq.ErrorHandler }

func (h withoutRequeues) HandleError(ctx context.Context, task *asynq.Task, err error) {
	var e *RequeueError
	if !errors.As(err, &e) {
		h.ErrorHandler.HandleError(ctx, task, err)
	}
}
