package asynqadapter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// Middleware returns a middleware that runs one task per key at a time, on all servers
// that share the locker's nodes. The handler runs under a lease, which is renewed
// while it runs and released when it returns or panics. [WithBusy] says what happens
// to other tasks of the key. Pass [Configure]'s result to asynq.NewServer.
//
// The handler's context carries the lease (redlock.LeaseFrom). It is canceled when
// the lease is lost, with a cause that matches redlock.ErrLost; an error that the
// handler then returns is made to match it too. If the handler returns nil, the task
// is done in any case.
//
// If the middleware is applied twice with the same key, the handler runs under the
// first lease.
//
// Events go to the locker's observer. Errors of Middleware match redlock.ErrInvalid.
// The middleware is safe for concurrent use.
func Middleware(locker *redlock.Locker, opts ...MiddlewareOption) (asynq.MiddlewareFunc, error) {
	g, err := newGuard(locker, Skipped, opts, MiddlewareOption.middleware)
	if err != nil {
		return nil, err
	}
	if _, err := g.mutex("check", delivery{}); err != nil { // now, not when the first task comes
		return nil, err
	}
	return middleware(g.exclude), nil
}

func (g *guard) exclude(ctx context.Context, d delivery, next asynq.Handler) error {
	key := g.cfg.key(ctx, d.task)
	m, err := g.mutex(key, d)
	if err != nil {
		return g.refuse(d, key, err)
	}
	return g.serve(ctx, d, m.Name(), m.TryLock, m.Lock, next)
}

func (g *guard) mutex(name string, d delivery) (*redlock.Mutex, error) {
	return g.locker.NewMutex(name, slices.Concat(g.cfg.mutex, []redlock.MutexOption{redlock.WithHolder(d.holder())})...)
}

// Key returns the default name of a task's mutex: "task:", its type and, unless the
// payload is empty, ":" and a digest of it. Queue and headers play no part.
func Key(task *asynq.Task) string { return "task:" + identity(task) }

// identity returns the task's type and a digest of its payload.
func identity(task *asynq.Task) string {
	if len(task.Payload()) == 0 {
		return task.Type()
	}
	return task.Type() + ":" + digest(task.Payload())
}

// digest returns 128 bits of SHA-256 in hexadecimal.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

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
	isFailure, delay, handler := cfg.IsFailure, cfg.RetryDelayFunc, cfg.ErrorHandler
	if isFailure == nil {
		isFailure = func(err error) bool { return err != nil }
	}
	if delay == nil {
		delay = asynq.DefaultRetryDelayFunc
	}
	cfg.IsFailure = func(err error) bool {
		e, ok := errors.AsType[*RequeueError](err)
		if ok && e.configured != nil { // nil if a handler made it
			e.configured.Store(true)
		}
		return !ok && isFailure(err)
	}
	cfg.RetryDelayFunc = func(n int, err error, task *asynq.Task) time.Duration {
		if e, ok := errors.AsType[*RequeueError](err); ok {
			return e.After
		}
		return delay(n, err, task)
	}
	if handler != nil {
		cfg.ErrorHandler = asynq.ErrorHandlerFunc(func(ctx context.Context, task *asynq.Task, err error) {
			if _, ok := errors.AsType[*RequeueError](err); !ok {
				handler.HandleError(ctx, task, err)
			}
		})
	}
	return cfg
}

// configureLimit is how long after the first requeue Configure's IsFailure must have
// been called. asynq calls it right after the handler returns.
const configureLimit = 10 * time.Second
