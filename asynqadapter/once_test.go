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

// diary counts per tick how often a handler was started and how often it finished.
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
				}, oncePerTick(t, newLocker(t, redlocktest.Servers(nodes), seen.watched())))
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
	kind   redlock.EventKind
}{
	{"first", bubbleStart, nil, true, nil, ""},
	{"hours late", bubbleStart.Add(-20 * time.Hour), nil, true, nil, ""},
	{"second", bubbleStart, func(_ []*redlocktest.Server, again func() error) { _ = again() }, false, nil, asynqadapter.Dropped},
	{"older than anybody remembers", bubbleStart.Add(-25 * time.Hour), nil, false, asynq.SkipRetry, redlock.Refused},
	{"a clock far ahead", bubbleStart.Add(time.Hour), nil, false, redlock.ErrClockSkew, ""},
	{"no quorum", bubbleStart, func(nodes []*redlocktest.Server, _ func() error) { nodes[0].Freeze(); nodes[1].Freeze() },
		false, redlock.ErrNoQuorum, asynqadapter.Requeued},
}

// The middleware's answer to a single task. Each row first changes what the nodes know.
//
// Mutations: each case of reject answering as another; no ErrNoQuorum in undecided.
func TestOncePerTick_outcomes(t *testing.T) {
	for _, c := range outcomes {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes, seen, ran := redlocktest.Servers(3), &events{}, false
				mw := oncePerTick(t, newLocker(t, nodes, seen.watched()))
				handler := mw(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
					lease, ok := redlock.LeaseFrom(ctx)
					tick, known := redlock.TickFrom(ctx)
					ran = ok && lease.Tick().Equal(c.tick) && known && tick.Equal(c.tick)
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
				synctest.Wait()
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
// an earlier delivery of it still runs. When that delivery finishes, the task is done. Mutations: claim without its loop; Abandon for Unlock.
// Seen to fail when a user's holder hid whose delivery that is.
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
			}, oncePerTick(t, newLocker(t, nodes, seen.watched()), asynqadapter.WithJob(redlock.WithHolder("worker"))))
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
		if book.histogram(book.started) != "1x:1" || book.histogram(book.most) != "1x:1" || q.states("default") != "" {
			t.Errorf("started %s, at a time %s, left %q", book.histogram(book.started), book.histogram(book.most), q.states("default"))
		}
		if seen.count(asynqadapter.Waiting) != 2 {
			t.Errorf("reported %v, want two %q", seen.all, asynqadapter.Waiting)
		}
	})
}

// Mutation: an Unstamped task not passed on, or reported each time. Seen to fail when all types were remembered.
func TestOncePerTick_unstamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, runs := &events{}, 0
		handler := oncePerTick(t, newLocker(t, redlocktest.Servers(1), seen.watched()))(
			asynq.HandlerFunc(func(context.Context, *asynq.Task) error { runs++; return nil }))
		for _, kind := range []string{"a", "a", "b"} {
			if err := handler.ProcessTask(t.Context(), asynq.NewTask(kind, nil)); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if runs != 3 || seen.count(asynqadapter.Unstamped) != 2 {
			t.Errorf("%d runs, reported %v; want 3, one per type", runs, seen.all)
		}
		for i := range 300 { // a user's ID in each
			_ = handler.ProcessTask(t.Context(), asynq.NewTask(fmt.Sprint("user:", i), nil))
		}
		synctest.Wait()
		if runs != 303 || seen.count(asynqadapter.Unstamped) != 100 {
			t.Errorf("%d runs, %d reports; want 303, 100", runs, seen.count(asynqadapter.Unstamped))
		}
	})
}

func TestOncePerTick_invalid(t *testing.T) {
	locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "invalid"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opt  asynqadapter.OnceOption
		says string
	}{
		{asynqadapter.WithJob(redlock.WithTakeover()), "WithTakeover and WithAnyOrder"},
		{asynqadapter.WithJob(redlock.WithSpacing(time.Second)), "WithSpacing"},
	} {
		if _, err := asynqadapter.OncePerTick(locker, c.opt); !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want ErrInvalid that mentions %q", err, c.says)
		}
	}
}

// Task IDs that are used twice: a pinned ID that is free again after each run, and one
// that two queues have.
//
// Mutations: Unlock for Abandon and the other way round; the owner without the
// queue; Claim of the first job only.
func TestOncePerTick_reusedID(t *testing.T) {
	for _, c := range []struct {
		name    string
		queues  []string
		outcome func(nth int) error
		started string
		done    string
	}{
		{"done", []string{"a", "a", "a"}, fine, "1x:4", "1x:4"},
		{"two queues", []string{"a", "b"}, fine, "1x:4", "1x:4"},
		{"two queues, failing once", []string{"a", "b"}, flaky, "2x:4", "1x:4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, book := newQueue(t), newDiary()
				locker := newLocker(t, redlocktest.Servers(3))
				cfg := asynqadapter.Configure(asynq.Config{
					Concurrency: 4, Queues: map[string]int{"a": 1, "b": 1},
					RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 3 * time.Second },
				})
				q.serve(cfg, func(ctx context.Context, task *asynq.Task) error {
					tick, _ := asynqadapter.TickOf(task)
					err := c.outcome(book.start(tick))
					time.Sleep(100 * time.Millisecond)
					book.end(tick, err == nil)
					return err
				}, oncePerTick(t, locker))
				for i := range 4 {
					tick := bubbleStart.Add(time.Duration(i) * time.Minute)
					for _, queue := range c.queues {
						q.enqueue(stamped("job", tick), asynq.TaskID("pinned"), asynq.Queue(queue))
						if queue == c.queues[0] && len(c.queues) > 2 {
							time.Sleep(5 * time.Second) // it is done, and its ID free
						}
					}
					time.Sleep(time.Minute)
				}
				if got, started := book.histogram(book.done), book.histogram(book.started); got != c.done || started != c.started {
					t.Errorf("done %s, started %s; want %s, %s", got, started, c.done, c.started)
				}
				for _, queue := range c.queues {
					if left := q.states(queue); left != "" {
						t.Errorf("left %q in %s", left, queue)
					}
				}
			})
		})
	}
}

// If asynq delivers the task again after what the handler returned, the tick stays open;
// otherwise it is done. Mutation: RevokeTask left out.
func TestOncePerTick_over(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		again bool
	}{
		{"nil", nil, false}, {"error", errTransient, true}, {"revoked", asynq.RevokeTask, false}, {"archived, and run again by hand", asynq.SkipRetry, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				handler := oncePerTick(t, newLocker(t, redlocktest.Servers(3)))(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
					runs++
					return c.err
				}))
				for range 2 {
					_ = handler.ProcessTask(t.Context(), stamped("job", bubbleStart))
				}
				if runs != 1 && !c.again || runs != 2 && c.again {
					t.Errorf("%d runs", runs)
				}
			})
		})
	}
}

// Two replicas claim two tasks of one tick at the same instant: the second one is dropped, not sent back.
//
// Seen to fail when only a tick that is known to be done is dropped.
func TestOncePerTick_together(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, servers, seen := newQueue(t), redlocktest.Servers(3), &events{}
		for _, name := range []string{"a", "b"} {
			nodes := redlocktest.Nodes(servers, name)
			for _, n := range nodes {
				n.(*redlocktest.Node).Delay(time.Millisecond, time.Millisecond)
			}
			locker, err := redlock.New(nodes, seen.watched())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = locker.Close(context.Background()) })
			q.serve(asynqadapter.Configure(asynq.Config{Concurrency: 2}), func(context.Context, *asynq.Task) error {
				time.Sleep(3 * time.Second)
				return nil
			}, oncePerTick(t, locker))
		}
		for range 20 {
			tick := time.Now()
			q.enqueue(stamped("job", tick))
			q.enqueue(stamped("job", tick))
			time.Sleep(30 * time.Second)
		}
		if n := seen.count(asynqadapter.Requeued); n > 0 {
			t.Errorf("%d of 20 sent back, %d dropped", n, seen.count(asynqadapter.Dropped))
		}
	})
}
