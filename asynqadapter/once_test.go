package asynqadapter_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// stamped is a task as a stock scheduler with a Stamp enqueues it.
func stamped(kind string, tick time.Time) *asynq.Task {
	return asynq.NewTaskWithHeaders(kind, nil, map[string]string{"redtick-tick": tick.UTC().Format(time.RFC3339)})
}

// diary notes per tick how often a handler was started and how often it did its work.
type diary struct {
	mu            sync.Mutex
	started, done map[time.Time]int
	now, most     map[time.Time]int
}

func newDiary() *diary {
	return &diary{started: map[time.Time]int{}, done: map[time.Time]int{}, now: map[time.Time]int{}, most: map[time.Time]int{}}
}

func (d *diary) start(tick time.Time) (nth int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tick = tick.UTC()
	d.started[tick]++
	d.now[tick]++
	d.most[tick] = max(d.most[tick], d.now[tick])
	return d.started[tick]
}

func (d *diary) end(tick time.Time, done bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tick = tick.UTC()
	d.now[tick]--
	if done {
		d.done[tick]++
	}
}

func (d *diary) histogram(of map[time.Time]int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return histogram(slices.Collect(maps.Values(of)))
}

// 300 ticks wait in the queue, each three times, as three stock schedulers
// enqueued them while the workers were away. Six fail once.
//
// Mutations: no WithOwner, or a constant owner (the six retries are dropped, or
// nothing is); no WithAnyOrder; ErrTickDone returned instead of nil; the mutex
// named after the job alone at concurrency 10 (tasks sent back).
func TestOncePerTick_backlog(t *testing.T) {
	for concurrency, nodes := range map[int]int{1: 1, 2: 1, 10: 3} {
		t.Run(fmt.Sprintf("concurrency %d", concurrency), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, seen, book := newQueue(t), &events{}, newDiary()
				first := time.Now()
				fillBacklog(q, first, 300, 3)
				time.Sleep(6 * time.Hour)
				cfg := asynqadapter.Configure(asynq.Config{Concurrency: concurrency, RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Second }})
				q.serve(cfg, func(_ context.Context, task *asynq.Task) error {
					tick, _ := asynqadapter.TickOf(task)
					fails := book.start(tick) == 1 && tick.Sub(first)%(50*time.Minute) == 0
					time.Sleep(10 * time.Millisecond)
					defer book.end(tick, !fails)
					if fails {
						return errors.New("transient")
					}
					return nil
				}, oncePerTick(t, newLocker(t, redlocktest.Servers(nodes)), asynqadapter.WithObserver(seen.observe)))
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := book.histogram(book.done); got != "1x:300" {
					t.Errorf("work done %s, want once for each of 300 ticks", got)
				}
				if got := book.histogram(book.started); got != "1x:294 2x:6" {
					t.Errorf("handlers started %s, want a second time for the six that failed", got)
				}
				if book.histogram(book.most) != "1x:300" || seen.count(asynqadapter.Dropped) != 600 || q.states("default") != "" {
					t.Errorf("at a time %s, %d dropped, left %q; want 1x:300, 600, nothing",
						book.histogram(book.most), seen.count(asynqadapter.Dropped), q.states("default"))
				}
				if n := seen.count(asynqadapter.Requeued); n > 0 && concurrency == 1 {
					t.Errorf("%d tasks sent back by one worker: %v", n, seen.of(asynqadapter.Requeued)[0].Err)
				}
			})
		})
	}
}

func fillBacklog(q *queue, first time.Time, ticks, copies int) {
	client := asynq.NewClient(q)
	defer client.Close()
	for i := range ticks {
		for range copies {
			if _, err := client.Enqueue(stamped("job", first.Add(time.Duration(i)*time.Minute))); err != nil {
				q.t.Fatal(err)
			}
		}
	}
}

// bubbleStart is when the time of a bubble begins.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

var outcomes = []struct {
	name   string
	tick   time.Time
	before func(nodes []*redlocktest.Server, again func() error)
	ran    bool
	want   error // nil: the task ends
	kind   asynqadapter.EventKind
}{
	{"first", bubbleStart, nil, true, nil, ""},
	{"hours late", bubbleStart.Add(-20 * time.Hour), nil, true, nil, ""},
	{"second", bubbleStart, func(_ []*redlocktest.Server, again func() error) { _ = again() }, false, nil, asynqadapter.Dropped},
	{"older than anybody remembers", bubbleStart.Add(-25 * time.Hour), nil, false, asynq.SkipRetry, asynqadapter.Stale},
	{"a clock far ahead", bubbleStart.Add(time.Hour), nil, false, redlock.ErrClockSkew, ""},
	{"no quorum", bubbleStart, func(nodes []*redlocktest.Server, _ func() error) { nodes[0].Freeze(); nodes[1].Freeze() },
		false, redlock.ErrNoQuorum, asynqadapter.Requeued},
}

// What a single task gets, called as asynq calls it but for the task ID. Each
// row changes what the nodes know before.
//
// Mutations: each case of turnAway answering as another; no ErrNoQuorum in undecided.
func TestOncePerTick_outcomes(t *testing.T) {
	for _, c := range outcomes {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes, seen, ran := redlocktest.Servers(3), &events{}, false
				mw := oncePerTick(t, newLocker(t, nodes), asynqadapter.WithObserver(seen.observe))
				handler := mw(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
					lease, ok := asynqadapter.LeaseFrom(ctx)
					ran = ok && lease.Tick().Equal(c.tick) && lease.Fence() == c.tick.UnixMilli()
					return nil
				}))
				try := func() error { return handler.ProcessTask(t.Context(), stamped("job", c.tick)) }
				if c.before != nil {
					c.before(nodes, try)
					ran = false
				}
				err := try()
				for _, n := range nodes {
					n.Thaw()
				}
				if !errors.Is(err, c.want) || ran != c.ran {
					t.Errorf("ran: %v, error %v; want %v, %v", ran, err, c.ran, c.want)
				}
				var requeue *asynqadapter.RequeueError
				if errors.As(err, &requeue) != (c.kind == asynqadapter.Requeued) {
					t.Errorf("%T %v", err, err)
				}
				if c.kind == "" && len(seen.all) > 0 || c.kind != "" && seen.count(c.kind) != 1 {
					t.Errorf("reported %v, want %q", seen.all, c.kind)
				}
			})
		})
	}
}

// A task without retries cannot be sent back while nodes are away, nor while
// an earlier delivery of itself still runs. Mutation: claim without its loop.
func TestOncePerTick_waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, nodes, seen, book := newQueue(t), redlocktest.Servers(3), &events{}, newDiary()
		serve := func() *asynq.Server {
			cfg := asynqadapter.Configure(asynq.Config{Concurrency: 2, ShutdownTimeout: time.Second})
			return q.serve(cfg, func(_ context.Context, task *asynq.Task) error {
				tick, _ := asynqadapter.TickOf(task)
				book.start(tick)
				defer book.end(tick, true)
				time.Sleep(15 * time.Second)
				return nil
			}, oncePerTick(t, newLocker(t, nodes), asynqadapter.WithObserver(seen.observe)))
		}
		first := serve()
		nodes[0].Freeze()
		nodes[1].Freeze()
		q.enqueue(stamped("job", time.Now()), asynq.MaxRetry(0))
		time.Sleep(5 * time.Second)
		nodes[0].Thaw()
		nodes[1].Thaw()
		time.Sleep(5 * time.Second)
		serve()
		first.Shutdown() // its handler goes on, and the task comes again
		time.Sleep(time.Minute)
		if book.histogram(book.started) != "2x:1" || book.histogram(book.most) != "1x:1" || q.states("default") != "" {
			t.Errorf("started %s, at a time %s, left %q", book.histogram(book.started), book.histogram(book.most), q.states("default"))
		}
		if seen.count(asynqadapter.Waiting) != 2 {
			t.Errorf("reported %v, want two %q", seen.all, asynqadapter.Waiting)
		}
	})
}

// Mutation: an Unstamped task not passed on, or reported each time.
func TestOncePerTick_unstamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, runs := &events{}, 0
		handler := oncePerTick(t, newLocker(t, redlocktest.Servers(1)), asynqadapter.WithObserver(seen.observe))(
			asynq.HandlerFunc(func(context.Context, *asynq.Task) error { runs++; return nil }))
		for _, kind := range []string{"a", "a", "b"} {
			if err := handler.ProcessTask(t.Context(), asynq.NewTask(kind, nil)); err != nil {
				t.Error(err)
			}
		}
		if runs != 3 || seen.count(asynqadapter.Unstamped) != 2 {
			t.Errorf("%d runs, reported %v; want 3, one per type", runs, seen.all)
		}
	})
}

func TestOncePerTick_invalid(t *testing.T) {
	locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "invalid"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opt  asynqadapter.Option
		says string
	}{
		{asynqadapter.WithMutex(redlock.WithTakeover()), "WithTakeover and WithAnyOrder"},
		{asynqadapter.WithMutex(redlock.WithSpacing(time.Second)), "WithSpacing"},
		{asynqadapter.WithBusy(asynqadapter.Skip), "no use for WithBusy"},
	} {
		if _, err := asynqadapter.OncePerTick(locker, c.opt); !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want ErrInvalid that mentions %q", err, c.says)
		}
	}
}
