package asynqadapter_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// The interval of the arms, and how late the second and third replica are when they are skewed.
const (
	interval = 2 * time.Second
	every2s  = "@every 2s"
	skew     = 600 * time.Millisecond
)

// arm is one way to run a schedule on three replicas and two servers.
type arm struct {
	name    string
	skewed  bool
	lasts   time.Duration
	outcome func(nth int) error // of the nth run of a task
	opts    []asynq.Option
	fleet   func(f *farm)
	started string // runs per tick, of handlers: "1x", "2x", or "" when it does not matter
	done    string // and of work that was done; "0x:" means that some ticks had none
}

var errTransient, errAlways = errors.New("transient"), errors.New("always")

func fine(int) error   { return nil }
func always(int) error { return errAlways }
func flaky(nth int) error {
	if nth == 1 {
		return errTransient
	}
	return nil
}

// arms are demands on a schedule that asynq alone does not meet, and ours.
var arms = []arm{
	{name: "stock: plain", outcome: fine, fleet: stock, done: "3x"},
	{name: "stock: Unique(1m), skewed", skewed: true, outcome: fine, fleet: stock, opts: []asynq.Option{asynq.Unique(time.Minute)}, done: "3x"},
	{name: "stock: constant TaskID, skewed", skewed: true, outcome: fine, fleet: stock, opts: []asynq.Option{asynq.TaskID("job")}, done: "3x"},
	{name: "stock: constant TaskID, Retention(3s)", outcome: fine, fleet: stock, opts: []asynq.Option{asynq.TaskID("job"), asynq.Retention(3 * time.Second)}, done: "0x:"},
	{name: "stock: constant TaskID, failing, MaxRetry(0)", outcome: always, fleet: stock, opts: []asynq.Option{asynq.TaskID("job"), asynq.MaxRetry(0)}, started: "0x:", done: "0x"},

	{name: "Scheduler: plain", outcome: fine, fleet: ours, done: "1x"},
	{name: "Scheduler: skewed", skewed: true, outcome: fine, fleet: ours, done: "1x"},
	{name: "Scheduler: slow handler", lasts: 5 * time.Second, outcome: fine, fleet: ours, done: "1x"},
	{name: "Scheduler: failing, MaxRetry(0)", outcome: always, fleet: ours, opts: []asynq.Option{asynq.MaxRetry(0)}, started: "1x", done: "0x"},
	{name: "Scheduler: failing once", skewed: true, outcome: flaky, fleet: ours, started: "2x", done: "1x"},
	{name: "Scheduler: a replica goes away", skewed: true, outcome: fine, fleet: oursWithADeath, done: "1x"},

	{name: "Stamp+OncePerTick: plain", outcome: fine, fleet: stampedStock, done: "1x"},
	{name: "Stamp+OncePerTick: skewed", skewed: true, outcome: fine, fleet: stampedStock, done: "1x"},
	{name: "Stamp+OncePerTick: slow handler", lasts: 5 * time.Second, outcome: fine, fleet: stampedStock, done: "1x"},
	{name: "Stamp+OncePerTick: failing once", skewed: true, outcome: flaky, fleet: stampedStock, started: "2x", done: "1x"},
	{name: "Stamp+OncePerTick: failing, MaxRetry(0)", outcome: always, fleet: stampedStock, opts: []asynq.Option{asynq.MaxRetry(0)}, started: "1x", done: "0x"},
}

// farm is what an arm runs on.
type farm struct {
	arm
	t     *testing.T
	q     *queue
	nodes []*redlocktest.Server
	book  *diary
	begin time.Time
	ticks int
}

// TestArms prints arms x ticks x runs per tick, for 10 ticks unless
// REDTICK_TICKS says otherwise.
//
// Mutations: the TaskID left out of prepare; Retention left out of newEntry
// (skewed); OncePerTick running what it should drop; no WithOwner (failing once).
func TestArms(t *testing.T) {
	ticks := 10
	if n, err := strconv.Atoi(os.Getenv("REDTICK_TICKS")); err == nil {
		ticks = n
	}
	for _, a := range arms {
		t.Run(a.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &farm{arm: a, t: t, q: newQueue(t), nodes: redlocktest.Servers(3), book: newDiary(), ticks: ticks}
				started, done := f.run()
				t.Logf("%-45s %d ticks: work done %s, handlers started %s", a.name, ticks, done, started)
				if !matches(done, a.done, ticks) || !matches(started, a.started, ticks) {
					t.Errorf("done %s, started %s; want %s, %s", done, started, a.done, a.started)
				}
			})
		})
	}
}

// matches reports whether a histogram is what an arm promises for all ticks.
func matches(got, want string, ticks int) bool {
	if len(want) == len("1x") {
		return got == want+":"+strconv.Itoa(ticks)
	}
	return strings.HasPrefix(got, want)
}

// run lets the ticks of the farm pass and counts runs by the tick they belong to.
func (f *farm) run() (started, done string) {
	time.Sleep(500 * time.Millisecond)
	f.begin = time.Now().Truncate(interval).UTC()
	for i := range f.ticks {
		tick := f.begin.Add(time.Duration(i+1) * interval)
		f.book.started[tick], f.book.done[tick] = 0, 0
	}
	f.fleet(f)
	time.Sleep(time.Until(f.begin.Add(time.Duration(f.ticks+8) * interval)))
	synctest.Wait()
	return f.book.histogram(f.book.started), f.book.histogram(f.book.done)
}

// last is the end of the ticks that count. Schedulers end before the next one.
func (f *farm) last() time.Time { return f.begin.Add(time.Duration(f.ticks)*interval + interval*3/4) }

// serve runs two servers. A task that brings no tick belongs to the newest one when it first ran.
func (f *farm) serve(use ...func() asynq.MiddlewareFunc) {
	seen := map[string]time.Time{}
	handler := func(ctx context.Context, task *asynq.Task) error {
		id, _ := asynq.GetTaskID(ctx)
		retried, _ := asynq.GetRetryCount(ctx)
		tick, ok := asynqadapter.TickOf(task)
		f.book.mu.Lock()
		if !ok && retried == 0 {
			seen[id] = time.Now().Truncate(interval)
		}
		if !ok {
			tick = seen[id]
		}
		f.book.mu.Unlock()
		f.book.start(tick)
		time.Sleep(max(f.lasts, time.Millisecond))
		err := f.outcome(retried + 1)
		f.book.end(tick, err == nil)
		return err
	}
	for range 2 {
		var mws []asynq.MiddlewareFunc
		for _, u := range use {
			mws = append(mws, u())
		}
		f.q.serve(asynqadapter.Configure(asynq.Config{
			Concurrency: 10, RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 4 * time.Second },
		}), handler, mws...)
	}
}

// late makes replica i late to each tick, when the arm is skewed.
func (f *farm) late(i int) func(*asynq.Task, []asynq.Option) {
	return func(*asynq.Task, []asynq.Option) {
		if f.skewed {
			time.Sleep(time.Duration(i) * skew)
		}
	}
}

// stock is N schedulers of asynq, each of which enqueues.
func stock(f *farm) {
	f.serve()
	for i := range 3 {
		s := asynq.NewScheduler(f.q, &asynq.SchedulerOpts{LogLevel: asynq.FatalLevel, PreEnqueueFunc: f.late(i)})
		if _, err := s.Register(every2s, asynq.NewTask("job", nil), f.opts...); err != nil {
			f.t.Fatal(err)
		}
		f.start(s)
	}
}

// start starts a scheduler one second before the first tick, at a whole second: robfig's @every counts from there.
func (f *farm) start(s interface {
	Start() error
	Shutdown()
}) {
	time.Sleep(time.Until(f.begin))
	if err := s.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		time.Sleep(time.Until(f.last()))
		s.Shutdown()
	}()
}

func ours(f *farm) {
	f.serve()
	for i := range 3 {
		f.start(f.scheduler(i))
	}
}

func (f *farm) scheduler(i int) *asynqadapter.Scheduler {
	s := newScheduler(f.t, f.q.client(), &asynq.SchedulerOpts{PreEnqueueFunc: f.late(i)})
	register(f.t, s, every2s, asynq.NewTask("job", nil), f.opts...)
	return s
}

// oursWithADeath loses the replica that is first to every tick.
func oursWithADeath(f *farm) {
	f.serve()
	first := f.scheduler(0)
	f.start(first)
	for i := range 2 {
		f.start(f.scheduler(i + 1))
	}
	time.AfterFunc(time.Until(f.begin.Add(time.Duration(f.ticks/2)*interval+interval/2)), first.Shutdown)
}

// stampedStock is stock, with duplicates dropped by the workers.
func stampedStock(f *farm) {
	f.serve(func() asynq.MiddlewareFunc { return oncePerTick(f.t, newLocker(f.t, f.nodes)) })
	for i := range 3 {
		stamp, s := newStamped(f.t, f.q, &asynq.SchedulerOpts{LogLevel: asynq.FatalLevel, PreEnqueueFunc: f.late(i)})
		if _, err := stamp.Register(s, every2s, asynq.NewTaskWithHeaders("job", nil, map[string]string{}), f.opts...); err != nil {
			f.t.Fatal(err)
		}
		f.start(s)
	}
}
