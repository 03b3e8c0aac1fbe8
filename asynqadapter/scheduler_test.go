package asynqadapter_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
)

// ledger is asynq's rule about task IDs and nothing else, shared by the replicas of a test.
type ledger struct {
	mu       sync.Mutex
	at       map[string]time.Time // when an ID was taken
	attempts int
	down     error
}

func newLedger() *ledger { return &ledger{at: map[string]time.Time{}} }

func (l *ledger) take(task *asynq.Task, opts []asynq.Option) (*asynq.TaskInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts++
	if l.down != nil {
		return nil, l.down
	}
	id := ""
	for _, o := range opts {
		if o.Type() == asynq.TaskIDOpt {
			id = o.Value().(string)
		}
	}
	if _, taken := l.at[id]; taken {
		return nil, fmt.Errorf("%w", asynq.ErrTaskIDConflict)
	}
	l.at[id] = time.Now()
	return &asynq.TaskInfo{ID: id, Type: task.Type()}, nil
}

func (l *ledger) ids() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.at))
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = err
}

// link is one replica's way to the ledger: it is slow.
type link struct {
	*ledger
	lag time.Duration
}

func (l link) EnqueueContext(_ context.Context, task *asynq.Task, opts ...asynq.Option) (*asynq.TaskInfo, error) {
	time.Sleep(l.lag)
	return l.take(task, opts)
}

func newScheduler(t testing.TB, client asynqadapter.Enqueuer, opts *asynq.SchedulerOpts, more ...asynqadapter.SchedulerOption) *asynqadapter.Scheduler {
	t.Helper()
	s, err := asynqadapter.NewScheduler(client, opts, more...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func register(t testing.TB, s *asynqadapter.Scheduler, spec string, task *asynq.Task, opts ...asynq.Option) string {
	t.Helper()
	id, err := s.Register(spec, task, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func start(t testing.TB, s *asynqadapter.Scheduler) {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
}

// season is a spec, a time to look at it, and how many ticks it has then.
type season struct {
	name, spec string
	where      *time.Location
	begin      time.Time
	hours      int
	want       int
	match      func(wall time.Time) bool
}

func calendar(newYork *time.Location) []season {
	return []season{
		{"each minute of the night clocks go back", "* * * * *", newYork, time.Date(2000, 10, 28, 12, 0, 0, 0, time.UTC), 36, 36 * 60,
			func(time.Time) bool { return true }},
		{"an hour that comes twice", "30 1 * * *", newYork, time.Date(2000, 10, 27, 0, 0, 0, 0, time.UTC), 96, 5,
			func(w time.Time) bool { return w.Hour() == 1 && w.Minute() == 30 }},
		{"an hour that does not come", "30 2 * * *", newYork, time.Date(2000, 3, 31, 0, 0, 0, 0, time.UTC), 96, 3,
			func(w time.Time) bool { return w.Hour() == 2 && w.Minute() == 30 }},
		{"month ends", "0 0 31 * *", time.UTC, time.Date(2000, 3, 1, 0, 0, 0, 0, time.UTC), 62 * 24, 1,
			func(w time.Time) bool { return w.Day() == 31 && w.Hour() == 0 && w.Minute() == 0 }},
		{"29 February", "0 12 29 2 *", time.UTC, time.Date(2004, 2, 20, 0, 0, 0, 0, time.UTC), 20 * 24, 1,
			func(w time.Time) bool { return w.Month() == 2 && w.Day() == 29 && w.Hour() == 12 && w.Minute() == 0 }},
		{"a zone of its own", "CRON_TZ=America/New_York 0 9 * * 1", time.UTC, time.Date(2000, 10, 20, 0, 0, 0, 0, time.UTC), 20 * 24, 3,
			func(w time.Time) bool {
				w = w.In(newYork)
				return w.Weekday() == time.Monday && w.Hour() == 9 && w.Minute() == 0
			}},
		{"every 2h, on the grid", "@every 2h", newYork, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), 48, 24,
			func(w time.Time) bool { return w.Unix()%7200 == 0 }},
	}
}

// Three replicas, started at different times, with clocks apart and ways of
// different length, of which the first one goes away between ticks: the IDs taken are exactly the
// instants whose wall clock matches the spec, each minute of the time looked at.
//
// Mutations: ticks from time.Now(); after without In(location); the wall time
// in the ID instead of the UTC instant; @every without the grid; WithClock ignored.
func TestScheduler_exactTicks(t *testing.T) {
	for _, c := range calendar(location(t, "America/New_York")) {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(c.begin))
				ids := newLedger()
				var replicas []*asynqadapter.Scheduler
				for i, ahead := range []time.Duration{600 * time.Millisecond, 0, -300 * time.Millisecond} {
					s := newScheduler(t, link{ids, time.Duration(i) * 40 * time.Millisecond}, &asynq.SchedulerOpts{Location: c.where},
						asynqadapter.WithClock(func() time.Time { return time.Now().Add(ahead) }))
					register(t, s, c.spec, asynq.NewTask("job", nil))
					start(t, s)
					replicas = append(replicas, s)
					time.Sleep(7 * time.Second)
				}
				end := c.begin.Add(time.Duration(c.hours) * time.Hour)
				time.Sleep(end.Sub(c.begin) / 2)
				replicas[0].Shutdown()
				time.Sleep(time.Until(end) + time.Second)
				checkTicks(t, ids, c.begin, end, c.where, c.match, c.want)
			})
		})
	}
}

func checkTicks(t *testing.T, ids *ledger, begin, end time.Time, where *time.Location, match func(time.Time) bool, want int) {
	t.Helper()
	ids.mu.Lock()
	defer ids.mu.Unlock()
	expected := 0
	for tick := begin.Add(time.Minute); !tick.After(end); tick = tick.Add(time.Minute) {
		if !match(tick.In(where)) {
			continue
		}
		expected++
		id := "job@" + tick.UTC().Format(time.RFC3339)
		at, taken := ids.at[id]
		if !taken {
			t.Errorf("no task %s", id)
		} else if late := at.Sub(tick); late != -600*time.Millisecond && late != 40*time.Millisecond {
			t.Errorf("task %s enqueued at %v", id, at.UTC())
		}
	}
	if expected != want || len(ids.at) != want {
		t.Errorf("%d IDs, %d expected by the minute, %d by hand", len(ids.at), expected, want)
	}
}

// Redis is down for a while. Within the lateness every tick is enqueued in the end; older
// ones are given up, with an event.
//
// Mutations: no loop in enqueue; no check of the lateness; giveUp without its
// callbacks; Pre- or PostEnqueueFunc called per attempt.
func TestScheduler_outage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids, seen, broken := newLedger(), &events{}, errors.New("connection refused")
		ids.fail(broken)
		var before, after, gaveUp atomic.Int64
		opts := &asynq.SchedulerOpts{
			PreEnqueueFunc:  func(*asynq.Task, []asynq.Option) { before.Add(1) },
			PostEnqueueFunc: func(*asynq.TaskInfo, error) { after.Add(1) },
			EnqueueErrorHandler: func(_ *asynq.Task, _ []asynq.Option, err error) { //nolint:staticcheck // deprecated, but honoured
				gaveUp.Add(1)
				if !errors.Is(err, asynqadapter.ErrLate) || !errors.Is(err, broken) {
					t.Errorf("gave up for %v, want ErrLate and what failed", err)
				}
			},
		}
		s := newScheduler(t, link{ids, 0}, opts, asynqadapter.WithLateness(2*time.Minute), asynqadapter.WithObserver(seen.observe))
		register(t, s, "* * * * *", asynq.NewTask("job", nil))
		start(t, s)
		time.Sleep(4*time.Minute + 30*time.Second)
		ids.fail(nil)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		want := []string{"job@2000-01-01T00:03:00Z", "job@2000-01-01T00:04:00Z"}
		if got := ids.ids(); !slices.Equal(got, want) {
			t.Errorf("enqueued %v, want %v", got, want)
		}
		if before.Load() != 4 || after.Load() != 4 || gaveUp.Load() != 2 || seen.count(asynqadapter.Late) != 2 || seen.count(asynqadapter.EnqueueFailed) != 1 {
			t.Errorf("%d before, %d after, %d given up, %d late, %d times told that it failed, want 1", before.Load(), after.Load(), gaveUp.Load(),
				seen.count(asynqadapter.Late), seen.count(asynqadapter.EnqueueFailed))
		}
	})
}

// A replica comes late to a tick whose task was done long ago; the ID is
// still taken, and the replica stops trying before it is not.
//
// Mutations: the default Retention left out, or 0; no check of the lateness.
func TestScheduler_lateReplica(t *testing.T) {
	for _, c := range []struct {
		name string
		late time.Duration
		opts []asynq.Option
		want redlock.EventKind
	}{
		{"soon", 10 * time.Second, nil, asynqadapter.EnqueuedElsewhere},
		{"just in time", 5*time.Minute - time.Second, nil, asynqadapter.EnqueuedElsewhere},
		{"too late", 5*time.Minute + time.Second, nil, asynqadapter.Late},
		{"an hour", time.Hour, nil, asynqadapter.Late},
		{"just in time, the least retention", 5*time.Minute - time.Second, []asynq.Option{asynq.Retention(10 * time.Minute)}, asynqadapter.EnqueuedElsewhere},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, runs, seen := newQueue(t), newCrowd(), &events{}
				// It looks for work seldom, which is what makes an hour pass quickly.
				q.serve(asynq.Config{Concurrency: 1, TaskCheckInterval: 10 * time.Second, DelayedTaskCheckInterval: time.Minute}, work(runs, time.Millisecond))
				onTime := newScheduler(t, q.client(), nil)
				late := newScheduler(t, q.client(), &asynq.SchedulerOpts{
					PreEnqueueFunc: func(*asynq.Task, []asynq.Option) { time.Sleep(c.late) },
				}, asynqadapter.WithObserver(seen.observe))
				for _, s := range []*asynqadapter.Scheduler{onTime, late} {
					register(t, s, "@every 10m", asynq.NewTask("job", nil), c.opts...)
					start(t, s)
				}
				time.Sleep(11 * time.Minute)
				onTime.Shutdown()
				go late.Shutdown()
				time.Sleep(c.late)
				if runs.total() != 1 || seen.count(c.want) != 1 || len(seen.all) != 1 {
					t.Errorf("%d runs, the late replica reported %v; want 1, %q", runs.total(), seen.all, c.want)
				}
			})
		})
	}
}

// Mutation for each row: the check left out.
func TestScheduler_Register_invalid(t *testing.T) {
	for _, c := range []struct {
		name, spec string
		task       *asynq.Task
		opts       []asynq.Option
		says       string
	}{
		{"no task", "@hourly", nil, nil, "task is nil"},
		{"no type", "@hourly", asynq.NewTask(" ", nil), nil, "no type"},
		{"spec", "hourly", asynq.NewTask("job", nil), nil, "five fields"},
		{"never", "0 0 30 2 *", asynq.NewTask("job", nil), nil, "no activation"},
		{"nil option", "@hourly", asynq.NewTask("job", nil), []asynq.Option{nil}, "option 1"},
		{"Unique", "@hourly", asynq.NewTask("job", nil), []asynq.Option{asynq.Unique(time.Hour)}, "Unique(1h0m0s)"},
		{"Unique inside", "@hourly", asynq.NewTask("job", nil, asynq.Unique(time.Hour)), nil, "Unique(1h0m0s) (inside the task)"},
		{"TaskID", "@hourly", asynq.NewTask("job", nil), []asynq.Option{asynq.TaskID("x")}, `TaskID("x")`},
		{"TaskID inside", "@hourly", asynq.NewTask("job", nil, asynq.TaskID("x")), nil, `TaskID("x") (inside the task)`},
		{"Group", "@hourly", asynq.NewTask("job", nil), []asynq.Option{asynq.Group("g")}, `Group("g")`},
		{"Group inside", "@hourly", asynq.NewTask("job", nil, asynq.Group("g")), nil, `Group("g") (inside the task)`},
		{"Retention", "@hourly", asynq.NewTask("job", nil), []asynq.Option{asynq.Retention(time.Minute)}, "at least 10m0s"},
		{"Retention inside", "@hourly", asynq.NewTask("job", nil, asynq.Retention(time.Minute)), nil, "at least 10m0s"},
		{"blank queue", "@hourly", asynq.NewTask("job", nil), []asynq.Option{asynq.Queue(" ")}, "blank queue"},
		{"blank name", "@hourly", asynq.NewTask("job", nil), []asynq.Option{asynqadapter.Name(" ")}, "not be blank"},
		{"long name", "@hourly", asynq.NewTask("job", nil), []asynq.Option{asynqadapter.Name(strings.Repeat("n", 201))}, "201 bytes"},
		{"type and name in Latin-1", "@hourly", asynq.NewTask("\xc3", nil), []asynq.Option{asynqadapter.Name("\xa9")}, "not UTF-8"}, // together they are
		{"type in Latin-1", "@hourly", asynq.NewTask("caf\xe9", nil), []asynq.Option{asynqadapter.Name("job")}, "not UTF-8"},
		{"name in Latin-1", "@hourly", asynq.NewTask("job", nil), []asynq.Option{asynqadapter.Name("caf\xe9")}, "not UTF-8"},
		{"queue in Latin-1", "@hourly", asynq.NewTask("job", nil), []asynq.Option{asynq.Queue("caf\xe9")}, "not UTF-8"},
		{"header in Latin-1", "@hourly", asynq.NewTaskWithHeaders("job", nil, map[string]string{"place": "caf\xe9"}), nil, "not UTF-8"},
		{"repeated name", "@daily", asynq.NewTask("taken", []byte("payload")), nil, "@weekly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScheduler(t, link{newLedger(), 0}, nil)
			register(t, s, "@weekly", asynq.NewTask("taken", []byte("payload")))
			_, err := s.Register(c.spec, c.task, c.opts...)
			if !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want ErrInvalid that mentions %q", err, c.says)
			}
			if len(s.Entries()) != 1 {
				t.Errorf("%d entries, want only the first", len(s.Entries()))
			}
		})
	}
}

func TestNewScheduler_invalid(t *testing.T) {
	var none *asynq.Client
	for _, c := range []struct {
		name   string
		client asynqadapter.Enqueuer
		opts   *asynq.SchedulerOpts
		more   asynqadapter.SchedulerOption
		says   string
	}{
		{"no client", nil, nil, asynqadapter.WithLateness(time.Minute), "asynq.NewClient"},
		{"nil client", none, nil, asynqadapter.WithLateness(time.Minute), "asynq.NewClient"},
		{"heartbeat", link{}, &asynq.SchedulerOpts{HeartbeatInterval: time.Second}, asynqadapter.WithLateness(time.Minute), "Entries"},
		{"lateness", link{}, nil, asynqadapter.WithLateness(time.Millisecond), "1ms"},
		{"clock", link{}, nil, asynqadapter.WithClock(nil), "time.Now"},
		{"observer", link{}, nil, asynqadapter.WithObserver(nil), "observer is nil"},
		{"no Redis", link{}, nil, asynqadapter.WithHeartbeat(nil), "WithHeartbeat"},
	} {
		_, err := asynqadapter.NewScheduler(c.client, c.opts, c.more)
		if !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want ErrInvalid that mentions %q", c.name, err, c.says)
		}
	}
}

// What asynq does with Unique and Group, which is why they are refused.
func TestScheduler_refusedTraps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		client := q.client()
		q.enqueue(asynq.NewTask("job", []byte("first")), asynq.TaskID("id"), asynq.Queue("held"))
		_, err := client.Enqueue(asynq.NewTask("job", nil), asynq.TaskID("id"), asynq.Unique(time.Hour), asynq.Queue("held"))
		if !errors.Is(err, asynq.ErrTaskIDConflict) {
			t.Fatalf("got %v, want a conflict", err)
		}
		if _, err = client.Enqueue(asynq.NewTask("job", nil), asynq.Unique(time.Hour), asynq.Queue("held")); !errors.Is(err, asynq.ErrDuplicateTask) {
			t.Errorf("after a conflict, Unique gave %v: asynq no longer leaks the lock", err)
		}
		q.serve(asynq.Config{
			GroupGracePeriod: time.Second,
			GroupAggregator:  asynq.GroupAggregatorFunc(func(string, []*asynq.Task) *asynq.Task { return asynq.NewTask("group", nil) }),
		}, work(newCrowd(), time.Millisecond))
		grouped := []asynq.Option{asynq.TaskID("grouped"), asynq.Group("g"), asynq.Retention(time.Hour)}
		q.enqueue(asynq.NewTask("job", nil), grouped...)
		time.Sleep(30 * time.Second)
		if _, err := client.Enqueue(asynq.NewTask("job", nil), grouped...); err != nil {
			t.Errorf("after aggregation the ID gave %v: asynq keeps it now", err)
		}
	})
}

// Mutations: others left out of the entry's options; a nil option inside the task read.
func TestScheduler_options(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		s := newScheduler(t, q.client(), nil)
		task := asynq.NewTask("job", []byte("payload"), asynq.Queue("low"), nil, asynq.MaxRetry(3), asynq.Retention(time.Hour))
		id := register(t, s, "* * * * *", task, asynq.MaxRetry(7), asynq.Timeout(time.Minute), asynqadapter.Name("a name"))
		start(t, s)
		time.Sleep(90 * time.Second)
		info, err := q.inspector().GetTaskInfo("low", id+"@2000-01-01T00:01:00Z")
		if err != nil {
			t.Fatal(err)
		}
		if id != "a name" || info.MaxRetry != 7 || info.Timeout != time.Minute || info.Retention != time.Hour || string(info.Payload) != "payload" {
			t.Errorf("%q: %+v", id, info)
		}
	})
}

// Mutations: the type left out of the default name; a Name inside the task
// ignored; Next set before Start; Unregister without delete.
func TestScheduler_Entries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := newLedger()
		s := newScheduler(t, link{ids, 0}, nil)
		daily := register(t, s, "@daily", asynq.NewTask("job", []byte("payload")))
		hourly := register(t, s, "@hourly", asynq.NewTask("job", nil))
		inside := register(t, s, "@weekly", asynq.NewTask("job", nil, asynqadapter.Name("inside")))
		if daily != "job:239f59ed55e737c77147cf55ad0c1b03" || hourly != "job" || inside != "inside" {
			t.Errorf("named %q, %q and %q", daily, hourly, inside)
		}
		if err := s.Unregister(inside); err != nil {
			t.Error(err)
		}
		if next := s.Entries()[0].Next; !next.IsZero() {
			t.Errorf("next is %v before Start", next)
		}
		start(t, s)
		time.Sleep(90 * time.Minute)
		minutely := register(t, s, "* * * * *", asynq.NewTask("other", nil))
		time.Sleep(90 * time.Second)
		var listed []string
		for _, e := range s.Entries() {
			listed = append(listed, fmt.Sprintf("%s %s %s %s", e.ID, e.Spec, clock(e.Prev), clock(e.Next)))
		}
		want := []string{"other * * * * * 01:31 01:32", "job @hourly 01:00 02:00", daily + " @daily - 00:00"}
		if !slices.Equal(listed, want) {
			t.Errorf("listed %q, want %q", listed, want)
		}
		if err := s.Unregister(minutely); err != nil {
			t.Error(err)
		}
		if err := s.Unregister(minutely); !errors.Is(err, redlock.ErrInvalid) {
			t.Errorf("a second Unregister gave %v", err)
		}
		time.Sleep(10 * time.Minute)
		if n := len(ids.ids()); n != 2 {
			t.Errorf("%d tasks, want one before Unregister and one of the hour", n)
		}
	})
}

// An entry that comes while the scheduler sleeps until a later one. Mutation: Register without wake.
func TestScheduler_Register_whileAsleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := newLedger()
		s := newScheduler(t, link{ids, 0}, nil)
		start(t, s)
		time.Sleep(35 * time.Second)
		register(t, s, "@every 10s", asynq.NewTask("job", nil))
		time.Sleep(6 * time.Second)
		if got := ids.ids(); !slices.Equal(got, []string{"job@2000-01-01T00:00:40Z"}) {
			t.Errorf("enqueued %v, want the tick at 40 s", got)
		}
	})
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("15:04")
}

// Mutations: Start, Register or Update without its state; Shutdown without ticks.Wait, or without done.
func TestScheduler_Shutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := newLedger()
		s := newScheduler(t, link{ids, 3 * time.Second}, nil)
		s.Shutdown() // does nothing yet
		register(t, s, "* * * * *", asynq.NewTask("job", nil))
		start(t, s)
		if s.Start() == nil {
			t.Error("started twice")
		}
		time.Sleep(time.Minute + time.Second)
		s.Shutdown()
		if passed := time.Since(time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC)); len(ids.ids()) != 1 || passed != 3*time.Second {
			t.Errorf("returned at %v with %d tasks, want after the enqueue under way", passed, len(ids.ids()))
		}
		s.Shutdown()
		if s.Start() == nil {
			t.Error("started again after Shutdown")
		}
		if _, err := s.Register("* * * * *", asynq.NewTask("late", nil)); !errors.Is(err, redlock.ErrInvalid) {
			t.Errorf("registered after Shutdown: %v", err)
		}
		if err := s.Update("job", "* * * * *", asynq.NewTask("late", nil)); !errors.Is(err, redlock.ErrInvalid) {
			t.Errorf("updated after Shutdown: %v", err)
		}
		time.Sleep(time.Hour)
		if len(ids.ids()) != 1 {
			t.Error("enqueued after Shutdown")
		}
	})
}

// Shutdown does not wait for the end of an outage. Mutation: pause without done.
func TestScheduler_Shutdown_outage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids, seen := newLedger(), &events{}
		ids.fail(errors.New("connection refused"))
		s := newScheduler(t, link{ids, 0}, nil, asynqadapter.WithObserver(seen.observe))
		register(t, s, "* * * * *", asynq.NewTask("job", nil))
		start(t, s)
		time.Sleep(90 * time.Second)
		begin := time.Now()
		s.Shutdown()
		if time.Since(begin) != 0 || seen.count(asynqadapter.Late) != 1 {
			t.Errorf("took %v and reported %v, want at once, one tick given up", time.Since(begin), seen.all)
		}
	})
}

// PreEnqueueFunc may change the task and options of one tick, and of no other,
// to what Register would take. Each tick has another change.
//
// Mutations: e.opts instead of a clone; e.task instead of a copy; no check after it. Seen to fail when it
// ended the goroutine of the tick, which was told nowhere.
func TestScheduler_PreEnqueueFunc(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(task *asynq.Task, opts []asynq.Option)
		says   string // "" when it is allowed
	}{
		{"queue", func(_ *asynq.Task, opts []asynq.Option) { opts[0] = asynq.Queue("other") }, ""},
		{"task", func(task *asynq.Task, _ []asynq.Option) { *task = *asynq.NewTask("other", nil) }, ""},
		{"longer retention", func(_ *asynq.Task, opts []asynq.Option) { opts[1] = asynq.Retention(time.Hour) }, ""},
		{"nil", func(_ *asynq.Task, opts []asynq.Option) { opts[0] = nil }, "option 1"},
		{"Unique", func(_ *asynq.Task, opts []asynq.Option) { opts[0] = asynq.Unique(time.Hour) }, "Unique"},
		{"Group", func(_ *asynq.Task, opts []asynq.Option) { opts[0] = asynq.Group("g") }, "Group"},
		{"TaskID", func(_ *asynq.Task, opts []asynq.Option) { opts[0] = asynq.TaskID("x") }, "TaskID"},
		{"blank queue", func(_ *asynq.Task, opts []asynq.Option) { opts[0] = asynq.Queue("") }, "blank queue"},
		{"short retention", func(_ *asynq.Task, opts []asynq.Option) { opts[0] = asynq.Retention(time.Second); opts[1] = opts[0] }, "at least 10m0s"},
		{"no retention", func(_ *asynq.Task, opts []asynq.Option) { opts[1] = opts[0] }, "at least 10m0s"},
		{"no type", func(task *asynq.Task, _ []asynq.Option) { *task = *asynq.NewTask("", nil) }, "no type"},
		{"veto", func(*asynq.Task, []asynq.Option) { runtime.Goexit() }, "runtime.Goexit"},
		{"Unique inside", func(task *asynq.Task, _ []asynq.Option) { *task = *asynq.NewTask("job", nil, asynq.Unique(time.Hour)) }, "(inside the task)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ids, seen := newLedger(), &events{}
				var ticks atomic.Int64
				var mu sync.Mutex
				var outcomes []error
				s := newScheduler(t, link{ids, 0}, &asynq.SchedulerOpts{
					PreEnqueueFunc: func(task *asynq.Task, opts []asynq.Option) {
						if ticks.Add(1) == 2 {
							c.change(task, opts)
						}
					},
					PostEnqueueFunc: func(_ *asynq.TaskInfo, err error) {
						mu.Lock()
						defer mu.Unlock()
						outcomes = append(outcomes, err)
					},
				}, asynqadapter.WithObserver(seen.observe))
				register(t, s, "* * * * *", asynq.NewTask("job", nil), asynq.Queue("usual"))
				start(t, s)
				time.Sleep(3*time.Minute + time.Second)
				s.Shutdown()
				want := []string{"job@2000-01-01T00:01:00Z", "job@2000-01-01T00:02:00Z", "job@2000-01-01T00:03:00Z"}
				refused := seen.of(redlock.Refused)
				if c.says != "" {
					want = slices.Delete(want, 1, 2)
					if len(refused) != 1 || !errors.Is(outcomes[1], redlock.ErrInvalid) || !strings.Contains(refused[0].Err.Error(), c.says) {
						t.Errorf("reported %v, PostEnqueueFunc got %v; want one refusal that mentions %q", refused, outcomes, c.says)
					}
				} else if len(refused) != 0 {
					t.Errorf("reported %v", refused)
				}
				if got := ids.ids(); !slices.Equal(got, want) {
					t.Errorf("enqueued %q, want %q", got, want)
				}
			})
		})
	}
}

// copies keeps a header and the payload that each task has once it is enqueued.
type copies struct {
	link
	mu   sync.Mutex // beside the ledger's
	kept map[string]string
}

func (c *copies) EnqueueContext(ctx context.Context, task *asynq.Task, opts ...asynq.Option) (*asynq.TaskInfo, error) {
	info, err := c.link.EnqueueContext(ctx, task, opts...)
	if err == nil {
		c.mu.Lock()
		c.kept[info.ID] = task.Headers()["trace"] + string(task.Payload())
		c.mu.Unlock()
	}
	return info, err
}

// What PreEnqueueFunc writes into the headers and the payload is for one tick, though others are still tried.
//
// Seen to fail when the ticks of an entry shared a map, and when they shared the payload.
func TestScheduler_PreEnqueueFunc_inPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &copies{link: link{newLedger(), 0}, kept: map[string]string{}}
		var mu sync.Mutex
		ticks := 0
		s := newScheduler(t, c, &asynq.SchedulerOpts{PreEnqueueFunc: func(task *asynq.Task, _ []asynq.Option) {
			mu.Lock()
			defer mu.Unlock()
			ticks++
			task.Headers()["trace"] = fmt.Sprint(ticks)
			task.Payload()[0]++
		}})
		register(t, s, "* * * * *", asynq.NewTaskWithHeaders("job", []byte("a"), map[string]string{}), asynqadapter.Name("job"))
		c.fail(errors.New("connection refused"))
		start(t, s)
		time.Sleep(2*time.Minute + 30*time.Second)
		c.fail(nil)
		time.Sleep(10 * time.Second)
		c.mu.Lock()
		defer c.mu.Unlock()
		if want := map[string]string{"job@2000-01-01T00:01:00Z": "1b", "job@2000-01-01T00:02:00Z": "2b"}; !maps.Equal(c.kept, want) {
			t.Errorf("enqueued %v, want %v", c.kept, want)
		}
	})
}

// lines is an asynq.Logger.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(level string, args []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, level+" "+fmt.Sprint(args...))
}

func (l *lines) Debug(args ...any) { l.add("debug", args) }
func (l *lines) Info(args ...any)  { l.add("info", args) }
func (l *lines) Warn(args ...any)  { l.add("warn", args) }
func (l *lines) Error(args ...any) { l.add("error", args) }
func (l *lines) Fatal(args ...any) { l.add("fatal", args) }

// Mutations: Logger ignored; LogLevel ignored.
func TestScheduler_Logger(t *testing.T) {
	for _, c := range []struct {
		level asynq.LogLevel
		want  string
	}{{0, "warn"}, {asynq.DebugLevel, "debug warn"}, {asynq.ErrorLevel, ""}} {
		synctest.Test(t, func(t *testing.T) {
			ids, log := newLedger(), &lines{}
			s := newScheduler(t, link{ids, 0}, &asynq.SchedulerOpts{Logger: log, LogLevel: c.level})
			register(t, s, "* * * * *", asynq.NewTask("job", nil))
			start(t, s)
			time.Sleep(90 * time.Second)
			ids.fail(errors.New("connection refused"))
			time.Sleep(30*time.Second + time.Millisecond)
			s.Shutdown()
			var levels []string
			for _, line := range log.all {
				level, _, _ := strings.Cut(line, " ")
				levels = append(levels, level)
				if !strings.Contains(line, "job@2000-01-01T00:0") {
					t.Errorf("%q does not name the task", line)
				}
			}
			if got := strings.Join(slices.Compact(levels), " "); got != c.want {
				t.Errorf("level %d: logged %q, want %q", c.level, log.all, c.want)
			}
		})
	}
}

// traced is a client whose type is comparable but whose value is not.
type traced struct {
	asynqadapter.Enqueuer
	labels any
}

// Mutation: the comparability of the client's type decides.
func TestScheduler_Register_clientThatCannotBeCompared(t *testing.T) {
	s := newScheduler(t, traced{link{newLedger(), 0}, map[string]string{"service": "x"}}, nil)
	register(t, s, "* * * * *", asynq.NewTask("job", nil))
}

// A running scheduler looks at all of its entries when a tick is due, and not at each Register: 10,000 of them would cost 10 s.
// An entry that is due before the others runs on time nevertheless.
//
// Seen to fail when add called fire.
func TestScheduler_Register_running(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64 // each look asks the clock once, and each Register twice
		clock := func() time.Time { asked.Add(1); return time.Now() }
		enqueued := newLedger()
		s := newScheduler(t, link{enqueued, 0}, nil, asynqadapter.WithClock(clock))
		start(t, s)
		time.Sleep(time.Millisecond)
		before := asked.Load()
		const entries = 50
		for i := range entries {
			register(t, s, "@daily", asynq.NewTask(fmt.Sprint(i), nil))
			time.Sleep(time.Millisecond)
		}
		if n := asked.Load() - before; n > 2*entries {
			t.Errorf("%d Registers took %d looks at the entries, want none", entries, n-2*entries)
		}
		register(t, s, "@every 1s", asynq.NewTask("soon", nil))
		time.Sleep(10 * time.Second)
		s.Shutdown()
		var soon int
		for _, id := range enqueued.ids() {
			if strings.HasPrefix(id, "soon@") {
				soon++
			}
		}
		if soon != 10 {
			t.Errorf("the entry that came last was enqueued %d times in 10 s, want 10", soon)
		}
	})
}
