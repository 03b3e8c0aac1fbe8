package asynqadapter_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
)

// configs are what a provider returns, for all replicas of a test.
type configs struct {
	mu  sync.Mutex
	all []*asynq.PeriodicTaskConfig
	err error
}

func (c *configs) GetConfigs() ([]*asynq.PeriodicTaskConfig, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all, c.err
}

func (c *configs) set(err error, all ...*asynq.PeriodicTaskConfig) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all, c.err = all, err
}

func each(spec, kind string, opts ...asynq.Option) *asynq.PeriodicTaskConfig {
	return &asynq.PeriodicTaskConfig{Cronspec: spec, Task: asynq.NewTask(kind, nil), Opts: opts}
}

func withHeaders(kind, trace string) *asynq.PeriodicTaskConfig {
	return &asynq.PeriodicTaskConfig{Cronspec: "* * * * *", Task: asynq.NewTaskWithHeaders(kind, nil, map[string]string{"trace": trace})}
}

func manage(t *testing.T, q *queue, p asynq.PeriodicTaskConfigProvider, more ...asynqadapter.SchedulerOption) *asynqadapter.PeriodicTaskManager {
	t.Helper()
	m, err := asynqadapter.NewPeriodicTaskManager(asynq.PeriodicTaskManagerOpts{
		PeriodicTaskConfigProvider: p, RedisConnOpt: q, SyncInterval: 10 * time.Second,
		SchedulerOpts: &asynq.SchedulerOpts{HeartbeatInterval: 5 * time.Second},
	}, more...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Shutdown)
	return m
}

// ticksOf lists the tasks of a queue that were enqueued, by name and time of day.
func ticksOf(t *testing.T, q *queue, name string) (all []string) {
	t.Helper()
	tasks, err := q.inspector().ListPendingTasks(name, asynq.PageSize(1000))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		all = append(all, strings.NewReplacer("@2000-01-01T", " ", ":00Z", "").Replace(task.ID))
	}
	slices.Sort(all)
	return all
}

// Three replicas that sync at different times. Entries come, change and go,
// one replica goes away, and each tick is enqueued once.
//
// Mutations: a name with the spec in it (the ticks that the old and the new
// spec have in common come twice); replace without remove; remove without take.
func TestPeriodicTaskManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, p := newQueue(t), &configs{}
		p.set(nil, each("* * * * *", "a"), each("*/2 * * * *", "b"))
		var replicas []*asynqadapter.PeriodicTaskManager
		for range 3 {
			replicas = append(replicas, manage(t, q, p))
			time.Sleep(3 * time.Second)
		}
		time.Sleep(time.Until(bubbleStart.Add(2*time.Minute + 5*time.Second)))
		replicas[0].Shutdown()
		time.Sleep(time.Until(bubbleStart.Add(3*time.Minute - 5*time.Second)))
		// One of the two that are left knows of this by the next tick.
		p.set(nil, each("*/3 * * * *", "a"), each("3-4 * * * *", "c"))
		time.Sleep(time.Until(bubbleStart.Add(6*time.Minute + 30*time.Second)))
		want := []string{"a 00:01", "a 00:02", "a 00:03", "a 00:06", "b 00:02", "c 00:03", "c 00:04"}
		if got := ticksOf(t, q, "default"); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		var listed []string
		for _, e := range replicas[1].Entries() {
			listed = append(listed, e.ID+" "+clock(e.Prev)+" "+clock(e.Next))
		}
		if !slices.Equal(listed, []string{"a 00:06 00:09", "c 00:04 01:03"}) {
			t.Errorf("listed %q", listed)
		}
	})
}

// A pinned TaskID is a name: a task that failed and is archived blocks nothing
// but its own tick. Stock asynq is there for comparison.
//
// Mutation: the ID no name. Seen to fail with an ID inside the task, which was refused at each sync.
func TestPeriodicTaskManager_pinnedTaskID(t *testing.T) {
	ours := func(t *testing.T, q *queue, p *configs) { manage(t, q, p); manage(t, q, p) }
	opts := []asynq.Option{asynq.TaskID("pinned"), asynq.MaxRetry(0), asynq.Retention(time.Hour)}
	outside := each("* * * * *", "job", opts...)
	inside := &asynq.PeriodicTaskConfig{Cronspec: "* * * * *", Task: asynq.NewTask("job", nil, opts...)}
	for _, c := range []struct {
		name   string
		config *asynq.PeriodicTaskConfig
		start  func(t *testing.T, q *queue, p *configs)
		runs   int
		left   string
	}{
		{"stock", outside, func(t *testing.T, q *queue, p *configs) {
			m, err := asynq.NewPeriodicTaskManager(asynq.PeriodicTaskManagerOpts{
				PeriodicTaskConfigProvider: p, RedisConnOpt: q, SchedulerOpts: &asynq.SchedulerOpts{LogLevel: asynq.FatalLevel},
			})
			if err != nil || m.Start() != nil {
				t.Fatal(err)
			}
			t.Cleanup(m.Shutdown)
		}, 1, "archived:1"},
		{"ours", outside, ours, 5, "archived:5"},
		{"ours, inside the task", inside, ours, 5, "archived:5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, p, runs := newQueue(t), &configs{}, newCrowd()
				p.set(nil, c.config)
				q.serve(asynq.Config{Concurrency: 1}, func(context.Context, *asynq.Task) error {
					defer runs.enter("job")()
					return errAlways
				})
				c.start(t, q, p)
				time.Sleep(5*time.Minute + 30*time.Second)
				if runs.total() != c.runs || q.states("default") != c.left {
					t.Errorf("%d runs, left %q; want %d, %q", runs.total(), q.states("default"), c.runs, c.left)
				}
			})
		})
	}
}

// What a provider may return. Mutations: each report left out; a sync that
// stops at a config that cannot be scheduled; rivals in the provider's order; headers not in the signature.
func TestPeriodicTaskManager_badConfigs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, p, seen := newQueue(t), &configs{}, &events{}
		good := each("* * * * *", "good")
		p.set(nil, good)
		m := manage(t, q, p, asynqadapter.WithObserver(seen.observe))
		entries := func() string {
			time.Sleep(11 * time.Second)
			var all []string
			for _, e := range m.Entries() {
				all = append(all, e.ID+" "+e.Spec)
			}
			return strings.Join(all, ", ")
		}
		for _, c := range []struct {
			name string
			err  error
			all  []*asynq.PeriodicTaskConfig
			want string
			kind redlock.EventKind
			says string
		}{
			{"one cannot be scheduled", nil, []*asynq.PeriodicTaskConfig{each("99 * * * *", "bad"), good}, "good * * * * *", redlock.Refused, "99"},
			{"Unique", nil, []*asynq.PeriodicTaskConfig{each("@daily", "bad", asynq.Unique(time.Hour)), good}, "good * * * * *", redlock.Refused, "Unique"},
			{"the provider fails", errAlways, nil, "good * * * * *", asynqadapter.SyncFailed, "always"},
			{"nil", nil, []*asynq.PeriodicTaskConfig{nil}, "good * * * * *", asynqadapter.SyncFailed, "config 0"},
			{"no task", nil, []*asynq.PeriodicTaskConfig{good, {Cronspec: "@daily"}}, "good * * * * *", asynqadapter.SyncFailed, "config 1"},
			{"twice the same", nil, []*asynq.PeriodicTaskConfig{good, each("* * * * *", "good")}, "good * * * * *", "", ""},
			{"two specs", nil, []*asynq.PeriodicTaskConfig{good, each("@daily", "good")}, "good * * * * *, good @daily", "", ""},
			{"two queues", nil, []*asynq.PeriodicTaskConfig{good, each("@daily", "good", asynq.Queue("low"))}, "good * * * * *, good @daily", "", ""},
			{"rivals", nil, []*asynq.PeriodicTaskConfig{each("@daily", "good", asynq.MaxRetry(1)), good}, "good * * * * *", redlock.Refused, "Name"},
			{"other headers", nil, []*asynq.PeriodicTaskConfig{good, withHeaders("good", "1")}, "good * * * * *", redlock.Refused, "headers"},
			{"named apart", nil, []*asynq.PeriodicTaskConfig{each("@daily", "good", asynq.MaxRetry(1), asynqadapter.Name("b")), good}, "good * * * * *, b @daily", "", ""},
			{"none", nil, nil, "", "", ""},
		} {
			before := len(seen.of(c.kind))
			p.set(c.err, c.all...)
			if got := entries(); got != c.want {
				t.Errorf("%s: entries %q, want %q", c.name, got, c.want)
			}
			if c.kind == "" {
				continue
			}
			if all := seen.of(c.kind); len(all) == before || !strings.Contains(all[len(all)-1].Err.Error(), c.says) {
				t.Errorf("%s: reported %v, want %q that mentions %q", c.name, all, c.kind, c.says)
			}
		}
	})
}

// An entry that changes, in whatever the task carries, goes on as the new one. With WithNewestOnly
// a tick of the old one that Redis did not take gives way to the new one's.
//
// Seen to fail when an entry was known by its signature, and when that lacked the headers or the options inside the task.
func TestPeriodicTaskManager_changed(t *testing.T) {
	inside := func(n int) *asynq.PeriodicTaskConfig {
		return &asynq.PeriodicTaskConfig{Cronspec: "* * * * *", Task: asynq.NewTask("job", nil, asynq.MaxRetry(n))}
	}
	for name, c := range map[string]struct{ before, after *asynq.PeriodicTaskConfig }{
		"options":                 {each("* * * * *", "job"), each("* * * * *", "job", asynq.MaxRetry(7))},
		"options inside the task": {inside(3), inside(7)},
		"headers":                 {withHeaders("job", "1"), withHeaders("job", "2")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, p := newQueue(t), &configs{}
				p.set(nil, c.before)
				m := manage(t, q, p, asynqadapter.WithNewestOnly())
				time.Sleep(30 * time.Second)
				q.fail(true)
				time.Sleep(2 * time.Minute)
				p.set(nil, c.after)
				time.Sleep(2 * time.Minute)
				q.fail(false)
				time.Sleep(20 * time.Second)
				if got := ticksOf(t, q, "default"); !slices.Equal(got, []string{"job 00:04"}) {
					t.Errorf("enqueued %q, want the newest tick alone", got)
				}
				if all := m.Entries(); len(all) != 1 || all[0].Task != c.after.Task {
					t.Errorf("%d entries, want the new one", len(all))
				}
			})
		})
	}
}

func TestPeriodicTaskManager_invalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, p := newQueue(t), &configs{}
		for _, c := range []struct {
			opts asynq.PeriodicTaskManagerOpts
			says string
		}{
			{asynq.PeriodicTaskManagerOpts{RedisConnOpt: q}, "PeriodicTaskConfigProvider"},
			{asynq.PeriodicTaskManagerOpts{PeriodicTaskConfigProvider: p}, "RedisConnOpt"},
			{asynq.PeriodicTaskManagerOpts{PeriodicTaskConfigProvider: p, RedisConnOpt: q, SyncInterval: -1}, "SyncInterval"},
		} {
			if _, err := asynqadapter.NewPeriodicTaskManager(c.opts); !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want ErrInvalid that mentions %q", err, c.says)
			}
		}
		p.set(errAlways)
		m, err := asynqadapter.NewPeriodicTaskManager(asynq.PeriodicTaskManagerOpts{PeriodicTaskConfigProvider: p, RedisConnOpt: q})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Start(); !errors.Is(err, errAlways) {
			t.Errorf("Start gave %v, want the provider's error", err)
		}
		m.Shutdown()
	})
}

// asynqmon's view, through asynq's own inspector. It must not enqueue anything.
//
// Mutations: no Goexit (two tasks per tick); "@every" shown from the start on;
// mirror.Shutdown left out (entries stay).
func TestScheduler_heartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		s := newScheduler(t, q.client(), &asynq.SchedulerOpts{HeartbeatInterval: time.Second, Location: location(t, "Europe/Berlin")},
			asynqadapter.WithHeartbeat(q))
		register(t, s, "30 9 * * *", asynq.NewTask("daily", []byte("payload")), asynq.Queue("low"), asynqadapter.Name("report"))
		every := register(t, s, "@every 90s", asynq.NewTask("pulse", nil))
		time.Sleep(time.Until(bubbleStart.Add(8*time.Hour + 25*time.Minute + 11*time.Second)))
		start(t, s)
		time.Sleep(time.Until(bubbleStart.Add(8*time.Hour+30*time.Minute)) + 20*time.Second)
		want := []string{"30 9 * * * daily payload 08:30:00 08:30:00 low", "@every 90s pulse  08:30:00 08:31:30 "}
		if got := shown(t, q); !slices.Equal(got, want) {
			t.Errorf("asynq shows %q, want %q", got, want)
		}
		if got := ticksOf(t, q, "low"); !slices.Equal(got, []string{"report 08:30"}) {
			t.Errorf("enqueued %q", got)
		}
		if err := s.Unregister(every); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if got := shown(t, q); len(got) != 1 {
			t.Errorf("after Unregister: %q", got)
		}
		s.Shutdown()
		if got := shown(t, q); len(got) != 0 {
			t.Errorf("after Shutdown: %q", got)
		}
	})
}

// A process that is paused over the first tick of an "@every" shows it from the
// second one on. Mutation: show without its limit of a second.
func TestScheduler_heartbeatAfterPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, clock := newQueue(t), &pausedClock{}
		s := newScheduler(t, q.client(), &asynq.SchedulerOpts{HeartbeatInterval: time.Second},
			asynqadapter.WithHeartbeat(q), asynqadapter.WithClock(clock.now))
		register(t, s, "@every 90s", asynq.NewTask("pulse", nil))
		start(t, s)
		time.Sleep(70 * time.Second)
		clock.pause.Store(int64(41 * time.Second))
		time.Sleep(2 * time.Minute)
		if got, want := shown(t, q), []string{"@every 90s pulse  00:00:00 00:04:30 "}; !slices.Equal(got, want) {
			t.Errorf("asynq shows %q, want %q", got, want)
		}
	})
}

// asynq's scheduler does not notice that the clock was set back, so its entry
// is removed and shown again. Mutation: hide and show left out of take.
func TestScheduler_heartbeatAfterSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, clock := newQueue(t), &steppedClock{}
		s := newScheduler(t, q.client(), &asynq.SchedulerOpts{HeartbeatInterval: time.Second},
			asynqadapter.WithHeartbeat(q), asynqadapter.WithClock(clock.now))
		register(t, s, "@daily", asynq.NewTask("job", nil))
		start(t, s)
		id := func() string {
			time.Sleep(2 * time.Minute)
			entries, err := q.inspector().SchedulerEntries()
			if err != nil || len(entries) != 1 {
				t.Fatalf("asynq shows %v, %v; want one entry", entries, err)
			}
			return entries[0].ID
		}
		first := id()
		if again := id(); again != first {
			t.Errorf("%s became %s while the clock was right", first, again)
		}
		clock.set(-time.Hour)
		if id() == first {
			t.Error("the entry is still the first one")
		}
	})
}

func shown(t *testing.T, q *queue) (all []string) {
	t.Helper()
	entries, err := q.inspector().SchedulerEntries()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		queue := ""
		for _, o := range e.Opts {
			if o.Type() == asynq.QueueOpt {
				queue = o.Value().(string)
			}
		}
		all = append(all, fmt.Sprintf("%s %s %s %s %s %s", e.Spec, e.Task.Type(), e.Task.Payload(),
			e.Prev.UTC().Format(time.TimeOnly), e.Next.UTC().Format(time.TimeOnly), queue))
	}
	slices.Sort(all)
	return all
}

// Mutation: Start without done.
func TestPeriodicTaskManager_Start_afterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := asynqadapter.NewPeriodicTaskManager(asynq.PeriodicTaskManagerOpts{PeriodicTaskConfigProvider: &configs{}, RedisConnOpt: newQueue(t)})
		if err != nil {
			t.Fatal(err)
		}
		m.Shutdown()
		if m.Start() == nil {
			t.Error("started with a client that is closed")
		}
	})
}

// An observer may end its goroutine, as t.FailNow does. Nothing else may end.
//
// Mutation: tell on the caller's goroutine.
func TestWithObserver_goexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids, seen := newLedger(), &events{}
		ids.fail(errors.New("connection refused"))
		observed := asynqadapter.WithObserver(func(e redlock.Event) { seen.observe(e); runtime.Goexit() })
		s := newScheduler(t, link{ids, 0}, nil, observed)
		register(t, s, "0 * * * *", asynq.NewTask("job", nil))
		start(t, s)
		p := &configs{}
		m := manage(t, newQueue(t), p, observed)
		p.set(errors.New("database is locked"))
		time.Sleep(time.Hour + 30*time.Second)
		ids.fail(nil)
		p.set(nil, each("* * * * *", "report"))
		time.Sleep(time.Minute)
		if got := ids.ids(); len(got) != 1 || seen.count(asynqadapter.EnqueueFailed) != 1 {
			t.Errorf("enqueued %q, want the tick that was tried", got)
		}
		if got := m.Entries(); len(got) != 1 || seen.count(asynqadapter.SyncFailed) == 0 {
			t.Errorf("entries %v, want those of the last sync", got)
		}
	})
}
