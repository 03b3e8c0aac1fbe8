package asynqadapter_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// A middleware on the mux and on the handler, with another one in between, and
// a handler that is called under a lock of the same name.
//
// Mutations: covered always false; tokens without either of its two halves, or with one token only; no TryLock under Wait.
func TestMiddleware_nested(t *testing.T) {
	perType := asynqadapter.WithKey(func(_ context.Context, task *asynq.Task) string { return "per type" })
	var nodes []*redlocktest.Server
	for _, c := range []struct {
		name string
		use  func(t *testing.T, locker *redlock.Locker) []asynq.MiddlewareFunc
	}{
		{"twice", func(t *testing.T, l *redlock.Locker) []asynq.MiddlewareFunc {
			return []asynq.MiddlewareFunc{middleware(t, l), middleware(t, l)}
		}},
		{"with another in between", func(t *testing.T, l *redlock.Locker) []asynq.MiddlewareFunc {
			return []asynq.MiddlewareFunc{middleware(t, l), middleware(t, l, perType), middleware(t, l)}
		}},
		{"waiting", func(t *testing.T, l *redlock.Locker) []asynq.MiddlewareFunc {
			return []asynq.MiddlewareFunc{middleware(t, l), middleware(t, l, asynqadapter.WithBusy(asynqadapter.Wait))}
		}},
		{"once per tick, twice", func(t *testing.T, l *redlock.Locker) []asynq.MiddlewareFunc {
			return []asynq.MiddlewareFunc{oncePerTick(t, l), middleware(t, l), oncePerTick(t, l)}
		}},
		{"two Lockers", func(t *testing.T, l *redlock.Locker) []asynq.MiddlewareFunc {
			other := newLocker(t, nodes)
			return []asynq.MiddlewareFunc{middleware(t, l), middleware(t, other, asynqadapter.WithBusy(asynqadapter.Wait)), oncePerTick(t, l), oncePerTick(t, other)}
		}},
		{"under a mutex", func(t *testing.T, l *redlock.Locker) []asynq.MiddlewareFunc {
			return []asynq.MiddlewareFunc{underMutex(t, l), middleware(t, l)}
		}},
	} {
		for _, retries := range []int{0, 1} {
			t.Run(c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					q, runs := newQueue(t), newCrowd()
					nodes = redlocktest.Servers(3)
					locker := newLocker(t, nodes)
					q.serve(asynqadapter.Configure(asynq.Config{Concurrency: 2}), work(runs, time.Second), c.use(t, locker)...)
					q.enqueue(stamped("a", time.Now()), asynq.MaxRetry(retries))
					q.enqueue(stamped("a", time.Now().Add(time.Second)), asynq.MaxRetry(retries))
					time.Sleep(time.Minute)
					if runs.total() != 2 || runs.most() != 1 || q.states("default") != "" {
						t.Errorf("%d runs, %d at a time, left %q; want 2, 1, nothing", runs.total(), runs.most(), q.states("default"))
					}
				})
			})
		}
	}
}

// The key of one Locker is not that of another one with other nodes.
//
// Seen to fail when a lease of the same name covered it, whatever its Locker.
func TestMiddleware_nestedOnOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, runs, nodes := newQueue(t), newCrowd(), redlocktest.Servers(3)
		m, err := newLocker(t, nodes).NewMutex("task:a")
		if err != nil {
			t.Fatal(err)
		}
		lease, err := m.TryLock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		q.serve(asynqadapter.Configure(asynq.Config{}), work(runs, time.Second), middleware(t, newLocker(t, redlocktest.Servers(3))), middleware(t, newLocker(t, nodes)))
		q.enqueue(asynq.NewTask("a", nil))
		time.Sleep(20 * time.Second)
		if runs.total() != 0 {
			t.Error("it ran while the key of the second Locker was held")
		}
		if err := lease.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if runs.total() != 1 || q.states("default") != "" {
			t.Errorf("%d runs, left %q; want 1, nothing", runs.total(), q.states("default"))
		}
	})
}

// underMutex is a middleware of the user's own, on redlock alone.
func underMutex(t *testing.T, locker *redlock.Locker) asynq.MiddlewareFunc {
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			m, err := locker.NewMutex(asynqadapter.Key(task))
			if err != nil {
				t.Error(err)
			}
			return m.Do(ctx, func(ctx context.Context) error { return next.ProcessTask(ctx, task) })
		})
	}
}

// A worker waits for a key that is soon free, and not for one that stays busy.
// Mutations: no second Lock in enter; maxWait ignored; the wait's own error returned.
func TestMiddleware_maxWait(t *testing.T) {
	for _, c := range []struct {
		name     string
		lasts    time.Duration
		opts     []asynqadapter.MiddlewareOption
		requeues int
		within   time.Duration
	}{
		{"soon", 20 * time.Millisecond, nil, 0, 5 * time.Second},
		{"at once", 20 * time.Millisecond, []asynqadapter.MiddlewareOption{asynqadapter.WithMaxWait(0)}, 50, time.Hour},
		{"not so soon", 1500 * time.Millisecond, nil, 1, 10 * time.Minute},
		{"longer", 1500 * time.Millisecond, []asynqadapter.MiddlewareOption{asynqadapter.WithMaxWait(time.Minute)}, 0, 153 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, seen, runs := newQueue(t), &events{}, newCrowd()
				for range 100 {
					q.enqueue(asynq.NewTask("a", nil))
				}
				begin := time.Now()
				q.serve(asynqadapter.Configure(asynq.Config{Concurrency: 10}), work(runs, c.lasts),
					middleware(t, newLocker(t, redlocktest.Servers(3), seen.watched()), c.opts...))
				for runs.total() < 100 && time.Since(begin) < c.within {
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(c.lasts)
				n := seen.count(asynqadapter.Requeued)
				t.Logf("%d of 100 in %v, %d requeues", runs.total(), time.Since(begin), n)
				if runs.total() != 100 || runs.most() != 1 || n < c.requeues || c.requeues == 0 && n > 0 {
					t.Errorf("%d of 100 in %v, %d at a time, %d requeues; want 100, 1, %d", runs.total(), time.Since(begin), runs.most(), n, c.requeues)
				}
				for _, e := range seen.of(asynqadapter.Requeued) {
					if !errors.Is(e.Err, redlock.ErrTaken) {
						t.Fatalf("sent back for %v, want ErrTaken", e.Err)
					}
				}
			})
		})
	}
}

// An invalid key would be invalid at the next delivery too, so the task is archived, once. Mutations: refuse without SkipRetry, or without its event.
func TestMiddleware_refusedKey(t *testing.T) {
	for _, key := range []string{"", strings.Repeat("k", 1025)} {
		for name, use := range map[string]func(*testing.T, *redlock.Locker, asynqadapter.TaskOption) asynq.MiddlewareFunc{
			"Middleware": func(t *testing.T, l *redlock.Locker, o asynqadapter.TaskOption) asynq.MiddlewareFunc {
				return middleware(t, l, o)
			},
			"OncePerTick": func(t *testing.T, l *redlock.Locker, o asynqadapter.TaskOption) asynq.MiddlewareFunc {
				return oncePerTick(t, l, o)
			},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					q, seen, runs := newQueue(t), &events{}, newCrowd()
					mw := use(t, newLocker(t, redlocktest.Servers(1), seen.watched()),
						asynqadapter.WithKey(func(context.Context, *asynq.Task) string { return key }))
					q.serve(asynqadapter.Configure(asynq.Config{Concurrency: 1}), work(runs, time.Second), mw)
					info := q.enqueue(stamped("a", time.Now()))
					time.Sleep(2 * time.Minute) // without SkipRetry it would have come again
					if runs.total() != 0 || q.states("default") != "archived:1" {
						t.Errorf("%d runs, left %q; want it archived", runs.total(), q.states("default"))
					}
					all := seen.of(redlock.Refused)
					var of *asynqadapter.TaskError
					if len(all) != 1 || !errors.Is(all[0].Err, redlock.ErrInvalid) || !errors.As(all[0].Err, &of) || of.ID != info.ID || of.Queue != "default" {
						t.Errorf("reported %v, want one refusal of task %s", all, info.ID)
					}
				})
			})
		}
	}
}

// A release that no majority confirms while the lease is valid is no loss.
// Mutation: the middleware reporting what Unlock returned as Lost.
func TestMiddleware_releaseFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := redlocktest.Servers(3)
		var mu sync.Mutex
		kinds := map[redlock.EventKind]int{}
		locker := newLocker(t, nodes, redlock.WithObserver(func(e redlock.Event) {
			mu.Lock()
			defer mu.Unlock()
			kinds[e.Kind]++
		}))
		err := middleware(t, locker)(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
			nodes[0].Freeze()
			nodes[1].Freeze()
			return nil
		})).ProcessTask(t.Context(), asynq.NewTask("a", nil))
		nodes[0].Thaw()
		nodes[1].Thaw()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if err != nil || kinds[redlock.Lost] != 0 || kinds[redlock.Released] != 1 {
			t.Errorf("got %v and events %v, want none of a loss", err, kinds)
		}
	})
}

// Without an observer, what an operator must know is in the default log.
// Mutations: Unstamped and Unconfigured without ErrInvalid; a default observer that is silent.
func TestEvents_byDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &strings.Builder{}
		defer slog.SetDefault(slog.Default())
		slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
		locker := newLocker(t, redlocktest.Servers(1))
		handler := asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return nil })
		_ = oncePerTick(t, locker)(handler).ProcessTask(t.Context(), asynq.NewTask("unstamped task", nil))
		_ = middleware(t, locker, asynqadapter.WithKey(func(context.Context, *asynq.Task) string { return "" }))(handler).
			ProcessTask(t.Context(), asynq.NewTask("refused task", nil))

		ids := newLedger()
		s := newScheduler(t, link{ids, 0}, nil)
		register(t, s, "* * * * *", asynq.NewTask("late task", nil))
		start(t, s)
		time.Sleep(90 * time.Second)
		synctest.Wait()
		quiet := log.String()
		ids.fail(errors.New("connection refused"))
		time.Sleep(7 * time.Minute)
		s.Shutdown()
		synctest.Wait()
		for _, want := range []string{
			"unstamped", "Stamp.Register", "refused task", "name is empty", "enqueue_failed", "connection refused", "tick=2000-01-01T00:02:00Z",
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("nothing about %q in the log:\n%.2000s", want, log.String())
			}
		}
		if strings.Contains(quiet, "late task") {
			t.Errorf("logged while all was well: %s", quiet)
		}
	})
}

// A panic in a scheduler's observer is logged.
//
// Seen to fail when its panic is recovered and forgotten.
func TestScheduler_observerPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &strings.Builder{}
		defer slog.SetDefault(slog.Default())
		slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
		s := newScheduler(t, link{newLedger(), 0}, nil, asynqadapter.WithObserver(func(redlock.Event) { panic("boom") }))
		register(t, s, "* * * * *", asynq.NewTask("task", nil))
		start(t, s)
		time.Sleep(90 * time.Second)
		s.Shutdown()
		synctest.Wait()
		for _, want := range []string{"level=ERROR", "panic=boom", "event=enqueued", "name=task"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %s in the log:\n%.2000s", want, log.String())
			}
		}
	})
}
