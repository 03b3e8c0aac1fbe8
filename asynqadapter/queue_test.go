package asynqadapter_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// queue is the Redis of asynq. In a bubble it is a miniredis without a socket,
// whose clock is the bubble's, so servers and schedulers of asynq live there
// for hours.
type queue struct {
	t    testing.TB
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	addr string
	down atomic.Bool
}

// fail refuses all connections until it is called with false.
func (q *queue) fail(down bool) { q.down.Store(down) }

func newQueue(t testing.TB) *queue {
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true)
	t.Cleanup(server.Close)
	// An address that need not be resolved: the resolver is shared with other bubbles.
	q := &queue{t: t, addr: "127.0.0.1:1"}
	q.dial = func(context.Context, string, string) (net.Conn, error) {
		if q.down.Load() {
			return nil, errors.New("connection refused")
		}
		return server.Dial()
	}
	return q
}

// MakeRedisClient makes a queue an asynq.RedisConnOpt.
func (q *queue) MakeRedisClient() any {
	return redis.NewClient(&redis.Options{
		Addr: q.addr, Dialer: q.dial,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

func (q *queue) client() *asynq.Client {
	client := asynq.NewClient(q)
	q.t.Cleanup(func() { _ = client.Close() })
	return client
}

func (q *queue) inspector() *asynq.Inspector {
	inspector := asynq.NewInspector(q)
	q.t.Cleanup(func() { _ = inspector.Close() })
	return inspector
}

func (q *queue) enqueue(task *asynq.Task, opts ...asynq.Option) *asynq.TaskInfo {
	q.t.Helper()
	client := asynq.NewClient(q)
	defer client.Close()
	info, err := client.Enqueue(task, opts...)
	if err != nil {
		q.t.Fatal(err)
	}
	return info
}

// serve starts a server that looks for work often. It is shut down with the test, if not before.
func (q *queue) serve(cfg asynq.Config, handler asynq.HandlerFunc, use ...asynq.MiddlewareFunc) *asynq.Server {
	q.t.Helper()
	cfg.LogLevel = asynq.FatalLevel
	cfg.TaskCheckInterval = cmp.Or(cfg.TaskCheckInterval, 200*time.Millisecond)
	cfg.DelayedTaskCheckInterval = cmp.Or(cfg.DelayedTaskCheckInterval, time.Second)
	server := asynq.NewServer(q, cfg)
	var served asynq.Handler = handler
	for _, mw := range slices.Backward(use) {
		served = mw(served)
	}
	if err := server.Start(served); err != nil {
		q.t.Fatal(err)
	}
	q.t.Cleanup(server.Shutdown)
	return server
}

// states counts the tasks of a queue by what became of them.
func (q *queue) states(name string) string {
	info, err := q.inspector().GetQueueInfo(name)
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, s := range []struct {
		name string
		n    int
	}{{"pending", info.Pending}, {"active", info.Active}, {"scheduled", info.Scheduled}, {"retry", info.Retry},
		{"archived", info.Archived}, {"completed", info.Completed}} {
		if s.n > 0 {
			all = append(all, fmt.Sprintf("%s:%d", s.name, s.n))
		}
	}
	return strings.Join(all, " ")
}

// newLocker makes a locker over in-memory nodes. Each call is another replica's.
func newLocker(t testing.TB, servers []*redlocktest.Server, opts ...redlock.LockerOption) *redlock.Locker {
	t.Helper()
	replica := fmt.Sprintf("replica-%p", &opts)
	locker, err := redlock.New(redlocktest.Nodes(servers, replica), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = locker.Close(context.Background()) })
	return locker
}

func middleware(t testing.TB, locker *redlock.Locker, opts ...asynqadapter.MiddlewareOption) asynq.MiddlewareFunc {
	t.Helper()
	mw, err := asynqadapter.Middleware(locker, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return mw
}

func oncePerTick(t testing.TB, locker *redlock.Locker, opts ...asynqadapter.OnceOption) asynq.MiddlewareFunc {
	t.Helper()
	mw, err := asynqadapter.OncePerTick(locker, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return mw
}

// events collects what an adapter reports. A Locker's observer hears of more.
type events struct {
	mu  sync.Mutex
	all []redlock.Event
}

// watched is an option for newLocker.
func (e *events) watched() redlock.LockerOption { return redlock.WithObserver(e.observe) }

var ofTheCore = []redlock.EventKind{redlock.Acquired, redlock.Renewed, redlock.RenewFailed, redlock.Released, redlock.Ended,
	redlock.NodeOut, redlock.NodeBack, redlock.Elected, redlock.SteppedDown, redlock.Lost}

func (e *events) observe(event redlock.Event) {
	if _, ofTheCores := event.Err.(*redlock.Error); ofTheCores || slices.Contains(ofTheCore, event.Kind) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

func (e *events) count(kind redlock.EventKind) int { return len(e.of(kind)) }

func (e *events) of(kind redlock.EventKind) (some []redlock.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		if event.Kind == kind {
			some = append(some, event)
		}
	}
	return some
}

// crowd counts who is inside at a time.
type crowd struct {
	mu          sync.Mutex
	inside, max map[string]int
	entered     map[string]int
}

func newCrowd() *crowd {
	return &crowd{inside: map[string]int{}, max: map[string]int{}, entered: map[string]int{}}
}

// enter counts until leave is called.
func (c *crowd) enter(key string) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entered[key]++
	c.inside[key]++
	c.max[key] = max(c.max[key], c.inside[key])
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inside[key]--
	}
}

func (c *crowd) most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := 0
	for n := range maps.Values(c.max) {
		most = max(most, n)
	}
	return most
}

func (c *crowd) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, one := range c.entered {
		n += one
	}
	return n
}

// histogram says how often each count occurs: "1x:58 2x:2".
func histogram(counts []int) string {
	times := map[int]int{}
	for _, n := range counts {
		times[n]++
	}
	var all []string
	for _, n := range slices.Sorted(maps.Keys(times)) {
		all = append(all, fmt.Sprintf("%dx:%d", n, times[n]))
	}
	return strings.Join(all, " ")
}
