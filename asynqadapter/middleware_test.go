package asynqadapter_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// work is a handler that takes a while and ignores its context: the worst case for exclusion.
func work(c *crowd, lasts time.Duration) asynq.HandlerFunc {
	return func(_ context.Context, task *asynq.Task) error {
		defer c.enter(task.Type())()
		time.Sleep(lasts)
		return nil
	}
}

// Mutations: the lease released before ProcessTask; a key without the payload.
func TestMiddleware_oneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, nodes := newQueue(t), redlocktest.Servers(3)
		byKey := newCrowd()
		retried := atomic.Int64{}
		handler := func(ctx context.Context, task *asynq.Task) error {
			n, _ := asynq.GetRetryCount(ctx)
			retried.Add(int64(n))
			defer byKey.enter(task.Type() + string(task.Payload()))()
			time.Sleep(time.Second)
			return nil
		}
		for range 2 {
			q.serve(asynqadapter.Configure(asynq.Config{Concurrency: 8}), handler,
				middleware(t, newLocker(t, nodes), asynqadapter.WithRequeueDelay(time.Second)))
		}
		for range 5 {
			for _, task := range []*asynq.Task{
				asynq.NewTask("a", nil), asynq.NewTask("b", nil), asynq.NewTask("a", []byte("1")), asynq.NewTask("a", []byte("2")),
			} {
				q.enqueue(task, asynq.MaxRetry(1))
			}
		}
		time.Sleep(2 * time.Minute)
		if byKey.total() != 20 || byKey.most() != 1 || len(byKey.entered) != 4 {
			t.Errorf("%d runs of %d keys, at most %d at a time; want 20 of 4, 1: %v", byKey.total(), len(byKey.entered), byKey.most(), byKey.max)
		}
		if retried.Load() != 0 || q.states("default") != "" {
			t.Errorf("sending tasks back cost %d retries and left %q; want none", retried.Load(), q.states("default"))
		}
	})
}

// Tasks with different keys run side by side. Mutations: a key without the payload or without the type.
func TestMiddleware_keysApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, all := newQueue(t), newCrowd()
		q.serve(asynq.Config{Concurrency: 8}, func(context.Context, *asynq.Task) error {
			defer all.enter("all")()
			time.Sleep(time.Second)
			return nil
		}, middleware(t, newLocker(t, redlocktest.Servers(3))))
		q.enqueue(asynq.NewTask("b", nil))
		for _, payload := range []string{"", "1", "2"} {
			q.enqueue(asynq.NewTask("a", []byte(payload)))
		}
		time.Sleep(10 * time.Second)
		if all.most() != 4 {
			t.Errorf("%d at a time, want 4", all.most())
		}
	})
}

// Two tasks of one key. The first takes ten seconds. Mutations: each
// policy answering as another; TryLock for Wait.
func TestMiddleware_busy(t *testing.T) {
	for _, c := range []struct {
		name   string
		busy   asynqadapter.Busy
		runs   int
		second time.Duration // when it started, at the latest
		kind   redlock.EventKind
	}{
		{"skip", asynqadapter.Skip, 1, 0, asynqadapter.Skipped},
		{"requeue", asynqadapter.Requeue, 2, 14 * time.Second, asynqadapter.Requeued},
		{"wait", asynqadapter.Wait, 2, 10500 * time.Millisecond, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, seen, inside := newQueue(t), &events{}, newCrowd()
				var second atomic.Int64
				begin := time.Now()
				q.serve(asynqadapter.Configure(asynq.Config{Concurrency: 4}), func(_ context.Context, task *asynq.Task) error {
					defer inside.enter("a")()
					second.Store(int64(time.Since(begin)))
					time.Sleep(10 * time.Second)
					return nil
				}, middleware(t, newLocker(t, redlocktest.Servers(3), seen.watched()), asynqadapter.WithBusy(c.busy),
					asynqadapter.WithRequeueDelay(2*time.Second)))
				q.enqueue(asynq.NewTask("a", nil))
				q.enqueue(asynq.NewTask("a", nil))
				time.Sleep(time.Minute)
				if inside.total() != c.runs || inside.most() != 1 || q.states("default") != "" {
					t.Fatalf("%d runs, %d at a time, left %q; want %d, 1, nothing", inside.total(), inside.most(), q.states("default"), c.runs)
				}
				if at := time.Duration(second.Load()); c.runs == 2 && (at < 10*time.Second || at > c.second) {
					t.Errorf("the second started after %v, want 10s to %v", at, c.second)
				}
				if c.kind != "" && seen.count(c.kind) == 0 || c.kind == "" && len(seen.all) != 0 {
					t.Errorf("reported %v, want %q", seen.all, c.kind)
				}
			})
		})
	}
}

// A task without retries: asynq archives it for any error, before it asks
// IsFailure. Mutation: sendBack without regard to delivery.last.
func TestMiddleware_maxRetryZero(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout time.Duration
		bare    bool
		runs    int
		left    string
	}{
		{"asynq archives what is not even a failure", time.Minute, true, 1, "archived:1"},
		{"requeue waits instead", time.Minute, false, 2, ""},
		{"but not beyond the task's own timeout", 4 * time.Second, false, 1, "archived:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, inside, seen := newQueue(t), newCrowd(), &events{}
				mw := middleware(t, newLocker(t, redlocktest.Servers(3), seen.watched()))
				if c.bare {
					mw = busyIsNoFailure()
				}
				q.serve(asynqadapter.Configure(asynq.Config{Concurrency: 4, IsFailure: func(error) bool { return false }}),
					work(inside, 10*time.Second), mw)
				q.enqueue(asynq.NewTask("a", nil), asynq.Timeout(time.Minute))
				time.Sleep(time.Second)
				q.enqueue(asynq.NewTask("a", nil), asynq.MaxRetry(0), asynq.Timeout(c.timeout))
				time.Sleep(time.Minute)
				if inside.total() != c.runs || inside.most() != 1 || q.states("default") != c.left {
					t.Errorf("%d runs, %d at a time, left %q; want %d, 1, %q", inside.total(), inside.most(), q.states("default"), c.runs, c.left)
				}
				if !c.bare && seen.count(asynqadapter.Waiting) != 1 {
					t.Errorf("reported %v, want one %q", seen.all, asynqadapter.Waiting)
				}
			})
		})
	}
}

// busyIsNoFailure follows asynq's documentation: an error for which IsFailure returns false.
func busyIsNoFailure() asynq.MiddlewareFunc {
	busy := atomic.Bool{}
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			if !busy.CompareAndSwap(false, true) {
				return errors.New("busy")
			}
			defer busy.Store(false)
			return next.ProcessTask(ctx, task)
		})
	}
}

// Mutation: Unlock after ProcessTask instead of deferred.
func TestMiddleware_panic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, locker := newQueue(t), newLocker(t, redlocktest.Servers(3))
		var runs atomic.Int64
		q.serve(asynq.Config{Concurrency: 1}, func(context.Context, *asynq.Task) error {
			if runs.Add(1) == 1 {
				panic("on purpose")
			}
			return nil
		}, middleware(t, locker))
		task := asynq.NewTask("a", nil)
		q.enqueue(task, asynq.MaxRetry(0))
		time.Sleep(time.Second)
		if m, _ := locker.NewMutex(asynqadapter.Key(task)); holder(t, m) != "" {
			t.Errorf("%s still holds the key of a handler that panicked", holder(t, m))
		}
		q.enqueue(task)
		time.Sleep(time.Second)
		if runs.Load() != 2 || q.states("default") != "archived:1" {
			t.Errorf("%d runs, left %q; want 2, and the first archived", runs.Load(), q.states("default"))
		}
	})
}

// asynq notes the file in which a handler panicked, and an event says that the run failed.
//
// Seen to fail for OncePerTick, with a file of redlock's, when run calls Lease.Do.
func TestMiddlewares_panicOrigin(t *testing.T) {
	for name, use := range map[string]func(*redlock.Locker) asynq.MiddlewareFunc{
		"Middleware":  func(l *redlock.Locker) asynq.MiddlewareFunc { return middleware(t, l) },
		"OncePerTick": func(l *redlock.Locker) asynq.MiddlewareFunc { return oncePerTick(t, l) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ended atomic.Int64
				q, locker := newQueue(t), newLocker(t, redlocktest.Servers(3), redlock.WithObserver(func(e redlock.Event) {
					if e.Kind == redlock.Ended && e.Err != nil {
						ended.Add(1)
					}
				}))
				q.serve(asynq.Config{Concurrency: 1}, func(context.Context, *asynq.Task) error { panic("on purpose") }, use(locker))
				info := q.enqueue(stamped("a", time.Now()), asynq.MaxRetry(0))
				time.Sleep(time.Second)
				info, err := q.inspector().GetTaskInfo("default", info.ID)
				if err != nil || !strings.Contains(info.LastErr, "middleware_test.go") {
					t.Errorf("asynq has the error %q, %v; want one from this file", info.LastErr, err)
				}
				if want := map[string]int64{"OncePerTick": 1}[name]; ended.Load() != want {
					t.Errorf("%d events of a failed run, want %d", ended.Load(), want)
				}
			})
		})
	}
}

func holder(t *testing.T, m *redlock.Mutex) string {
	t.Helper()
	who, err := m.Holder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// asynq hands a task to the next server when a Shutdown times out, while the
// handler runs on. The middlewares know it by the holder, which a user's option does not change.
//
// Mutations: the lease released when ctx ends; Skip without
// heldByAnother (the task's work, given up by the first server, would be lost).
// Seen to fail when the user's holder came last.
func TestMiddleware_shutdown(t *testing.T) {
	for _, c := range []struct {
		name string
		bare bool
		busy asynqadapter.Busy
		most int
		zero bool // MaxRetry(0)
	}{
		{"bare asynq runs two", true, 0, 2, false},
		{"requeue", false, asynqadapter.Requeue, 1, false},
		{"requeue without retries", false, asynqadapter.Requeue, 1, true},
		{"skip", false, asynqadapter.Skip, 1, false},
		{"skip without retries", false, asynqadapter.Skip, 1, true},
		{"wait", false, asynqadapter.Wait, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, nodes, inside := newQueue(t), redlocktest.Servers(3), newCrowd()
				serve := func() *asynq.Server {
					var use []asynq.MiddlewareFunc
					if !c.bare {
						use = append(use, middleware(t, newLocker(t, nodes), asynqadapter.WithBusy(c.busy), asynqadapter.WithRequeueDelay(time.Second),
							asynqadapter.WithMutex(redlock.WithHolder("worker"))))
					}
					cfg := asynqadapter.Configure(asynq.Config{Concurrency: 2, ShutdownTimeout: 500 * time.Millisecond})
					return q.serve(cfg, work(inside, 4*time.Second), use...)
				}
				first := serve()
				opts := []asynq.Option{asynq.MaxRetry(3)}
				if c.zero {
					opts = []asynq.Option{asynq.MaxRetry(0)}
				}
				q.enqueue(asynq.NewTask("a", nil), opts...)
				time.Sleep(time.Second)
				serve()
				first.Shutdown()
				time.Sleep(30 * time.Second)
				if inside.most() != c.most || inside.total() != 2 || q.states("default") != "" {
					t.Errorf("%d at a time, %d runs, left %q; want %d, 2, nothing", inside.most(), inside.total(), q.states("default"), c.most)
				}
			})
		})
	}
}

// No node answers while the task comes. Mutation: Skip for every error.
func TestMiddleware_noQuorum(t *testing.T) {
	for _, c := range []struct {
		name  string
		busy  asynqadapter.Busy
		retry int
	}{
		{"requeue", asynqadapter.Requeue, 1}, {"requeue without retries", asynqadapter.Requeue, 0},
		{"skip", asynqadapter.Skip, 1}, {"skip without retries", asynqadapter.Skip, 0}, {"wait", asynqadapter.Wait, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, nodes, inside := newQueue(t), redlocktest.Servers(3), newCrowd()
				q.serve(asynqadapter.Configure(asynq.Config{Concurrency: 2}), work(inside, time.Second),
					middleware(t, newLocker(t, nodes), asynqadapter.WithBusy(c.busy)))
				nodes[0].Freeze()
				nodes[1].Freeze()
				q.enqueue(asynq.NewTask("a", nil), asynq.MaxRetry(c.retry))
				time.Sleep(20 * time.Second)
				if inside.total() != 0 {
					t.Fatal("ran without a quorum")
				}
				nodes[0].Thaw()
				nodes[1].Thaw()
				time.Sleep(time.Minute)
				if inside.total() != 1 || q.states("default") != "" {
					t.Errorf("%d runs, left %q; want 1, nothing", inside.total(), q.states("default"))
				}
			})
		})
	}
}

// Mutations: the handler called with the task's context instead of the bound
// one; the cause left out of its error.
func TestMiddleware_lost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := redlocktest.Servers(3)
		mw := middleware(t, newLocker(t, nodes), asynqadapter.WithMutex(redlock.WithTTL(3*time.Second)))
		begin := time.Now()
		err := mw(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
			if lease, ok := redlock.LeaseFrom(ctx); !ok || lease.Context().Err() != nil {
				t.Error("no lease in the handler's context")
			}
			for _, n := range nodes {
				n.Freeze()
			}
			<-ctx.Done()
			return ctx.Err()
		})).ProcessTask(t.Context(), asynq.NewTask("a", nil))
		if !errors.Is(err, redlock.ErrLost) || !errors.Is(err, context.Canceled) || time.Since(begin) > 3*time.Second+redlockNodeTimeout {
			t.Errorf("after %v: %v; want both causes within the TTL", time.Since(begin), err)
		}
		for _, n := range nodes {
			n.Thaw()
		}
	})
}

const redlockNodeTimeout = 300 * time.Millisecond // of a TTL of 3 s

// A task is not done because the Locker was closed too early.
// Mutation: no ErrClosed in undecided.
func TestMiddleware_closed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		locker := newLocker(t, redlocktest.Servers(1))
		_ = locker.Close(t.Context())
		for _, busy := range []asynqadapter.Busy{asynqadapter.Requeue, asynqadapter.Skip, asynqadapter.Wait} {
			err := middleware(t, locker, asynqadapter.WithBusy(busy))(asynq.NotFoundHandler()).ProcessTask(t.Context(), asynq.NewTask("a", nil))
			var requeue *asynqadapter.RequeueError
			if !errors.Is(err, redlock.ErrClosed) || !errors.As(err, &requeue) {
				t.Errorf("policy %d: got %v, want the task sent back", busy, err)
			}
		}
	})
}

// Mutation: configured never asked, or never set.
func TestMiddleware_unconfigured(t *testing.T) {
	for _, c := range []struct {
		name      string
		configure func(asynq.Config) asynq.Config
		warnings  int
	}{
		{"forgotten", func(c asynq.Config) asynq.Config { return c }, 1},
		{"configured", asynqadapter.Configure, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, seen := newQueue(t), &events{}
				cfg := asynq.Config{Concurrency: 3, RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 3 * time.Second }}
				q.serve(c.configure(cfg), work(newCrowd(), 40*time.Second), middleware(t, newLocker(t, redlocktest.Servers(1), seen.watched())))
				q.enqueue(asynq.NewTask("a", nil))
				q.enqueue(asynq.NewTask("a", nil))
				time.Sleep(2 * time.Minute)
				if seen.count(asynqadapter.Unconfigured) != c.warnings || seen.count(asynqadapter.Requeued) < 3 {
					t.Errorf("%d warnings in %d requeues, want %d", seen.count(asynqadapter.Unconfigured), seen.count(asynqadapter.Requeued), c.warnings)
				}
			})
		})
	}
}

// The user's own functions keep deciding, and may send a task back. Mutations: any of the three dropped; from not compared with nil.
func TestConfigure(t *testing.T) {
	harmless, broken := errors.New("harmless"), errors.New("broken")
	var handled []error
	cfg := asynqadapter.Configure(asynq.Config{
		IsFailure:      func(err error) bool { return err != harmless },
		RetryDelayFunc: func(n int, _ error, _ *asynq.Task) time.Duration { return time.Duration(n) * time.Hour },
		ErrorHandler:   asynq.ErrorHandlerFunc(func(_ context.Context, _ *asynq.Task, err error) { handled = append(handled, err) }),
	})
	if cfg.IsFailure(harmless) || !cfg.IsFailure(broken) {
		t.Error("IsFailure does not ask the one it was given")
	}
	if d := cfg.RetryDelayFunc(3, broken, nil); d != 3*time.Hour {
		t.Errorf("delay %v, want the given function's 3h", d)
	}
	cfg.ErrorHandler.HandleError(t.Context(), nil, broken)
	if len(handled) != 1 {
		t.Errorf("%d errors handled, want 1", len(handled))
	}
	own := &asynqadapter.RequeueError{Name: "x", After: time.Minute, Err: harmless} // of a handler
	if cfg.IsFailure(own) || cfg.RetryDelayFunc(3, own, nil) != time.Minute {
		t.Error("a task that its own handler sends back is a failure")
	}
	plain := asynqadapter.Configure(asynq.Config{})
	if !plain.IsFailure(broken) || plain.IsFailure(nil) || plain.ErrorHandler != nil || plain.RetryDelayFunc(0, broken, nil) < 15*time.Second {
		t.Error("without functions of its own, a config does not behave as asynq's defaults")
	}
}

// Mutation for each row: the check left out.
func TestMiddleware_invalid(t *testing.T) {
	locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "invalid"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		locker *redlock.Locker
		opts   []asynqadapter.MiddlewareOption
		says   string
	}{
		{"no locker", nil, nil, "redlock.New"},
		{"nil option", locker, []asynqadapter.MiddlewareOption{nil}, "option 1"},
		{"nil key", locker, []asynqadapter.MiddlewareOption{asynqadapter.WithKey(nil)}, "WithKey"},
		{"policy", locker, []asynqadapter.MiddlewareOption{asynqadapter.WithBusy(7)}, "7"},
		{"delay", locker, []asynqadapter.MiddlewareOption{asynqadapter.WithRequeueDelay(time.Millisecond)}, "1ms"},
		{"mutex option", locker, []asynqadapter.MiddlewareOption{asynqadapter.WithMutex(redlock.WithTTL(time.Nanosecond))}, "TTL is 1ns"},
		{"max wait", locker, []asynqadapter.MiddlewareOption{asynqadapter.WithMaxWait(time.Hour)}, "WithBusy(Wait)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := asynqadapter.Middleware(c.locker, c.opts...)
			if !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want ErrInvalid that mentions %q", err, c.says)
			}
		})
	}
	for _, key := range []string{"", strings.Repeat("k", 2000)} {
		mw := middleware(t, locker, asynqadapter.WithKey(func(context.Context, *asynq.Task) string { return key }))
		err = mw(asynq.NotFoundHandler()).ProcessTask(t.Context(), asynq.NewTask("a", nil))
		if !errors.Is(err, redlock.ErrInvalid) {
			t.Errorf("a key of %d bytes: got %v, want ErrInvalid", len(key), err)
		}
	}
}
