package asynqadapter_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

func triggering(t *testing.T, servers []*redlocktest.Server, name string) *redlock.Locker {
	t.Helper()
	locker, err := redlock.New(redlocktest.Nodes(servers, name), redlock.WithHolder(name), redlock.WithObserver(func(e redlock.Event) {
		if e.Level() >= slog.LevelWarn && e.Kind != redlock.Ended {
			t.Errorf("%s: %v", e.Kind, e.Err)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	return locker
}

// A trigger enqueues an entry's task once in the fleet, in addition to those of its ticks. It does not before Start, or when
// the entry is removed.
//
// Seen to fail without listen, without the claim, without stopListening, and when the ID has the second only.
func TestWithTriggers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers, tasks := redlocktest.Servers(3), newLedger()
		ops, err := inspect.New(redlocktest.Nodes(servers, "ops"))
		if err != nil {
			t.Fatal(err)
		}
		trigger := func() (inspect.Tick, error) {
			synctest.Wait()
			tick, err := ops.Trigger(t.Context(), "report", "ann")
			time.Sleep(time.Second)
			return tick, err
		}
		var all []*asynqadapter.Scheduler
		var lockers []*redlock.Locker
		for i := range 3 {
			locker := triggering(t, servers, fmt.Sprint("r", i))
			s := newScheduler(t, link{tasks, time.Duration(i) * time.Millisecond}, nil, asynqadapter.WithTriggers(locker))
			register(t, s, "@every 1h", asynq.NewTask("report", nil))
			all, lockers = append(all, s), append(lockers, locker)
		}
		if _, err := trigger(); !errors.Is(err, inspect.ErrNotTriggered) || !strings.Contains(err.Error(), "nobody listens") {
			t.Errorf("not started, but: %v", err)
		}
		for _, s := range all {
			start(t, s)
		}
		time.Sleep(time.Until(time.Now().Truncate(time.Hour).Add(time.Hour + 100*time.Millisecond))) // in the second of a tick
		synctest.Wait()
		before := tasks.attempts
		claimed, err := trigger()
		if err != nil {
			t.Fatal(err)
		}
		if ids := tasks.ids(); tasks.attempts != before+1 || len(ids) != 2 || !strings.HasPrefix(ids[0], "report@") {
			t.Errorf("%d attempts, and %q are enqueued; claimed: %+v", tasks.attempts-before, ids, claimed)
		}
		runs, err := ops.Runs(t.Context(), "report")
		if err != nil || len(runs.Runs) != 1 || runs.Runs[0].Result != "ok" || runs.Schedule != "@every 1h" || runs.Next.IsZero() {
			t.Errorf("history: %+v, %v", runs, err)
		}
		time.Sleep(time.Hour)
		if ids := tasks.ids(); len(ids) != 3 {
			t.Errorf("%q, want that of the schedule as well", ids)
		}
		tasks.fail(errors.New("full"))
		if _, err := trigger(); err != nil {
			t.Error(err)
		}
		if runs, err := ops.Runs(t.Context(), "report"); err != nil || len(runs.Runs) != 2 || runs.Runs[0].Result != "failed" {
			t.Errorf("history: %+v, %v", runs, err)
		}
		for i, s := range all {
			if err := s.Unregister("report"); i > 0 && err != nil {
				t.Error(err)
			}
		}
		if _, err := trigger(); !errors.Is(err, inspect.ErrNotTriggered) || !strings.Contains(err.Error(), "nobody listens") {
			t.Errorf("unregistered, but: %v", err)
		}
		for i, s := range all {
			s.Shutdown()
			if err := lockers[i].Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// A manager keeps its entries by more than their names.
//
// Seen to fail while a trigger looked its entry up by the name.
func TestWithTriggers_manager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers, q, p := redlocktest.Servers(3), newQueue(t), &configs{}
		ops, err := inspect.New(redlocktest.Nodes(servers, "ops"))
		if err != nil {
			t.Fatal(err)
		}
		p.set(nil, each("@yearly", "report"), each("@monthly", "report"))
		locker := triggering(t, servers, "r")
		m := manage(t, q, p, asynqadapter.WithTriggers(locker))
		synctest.Wait()
		if _, err := ops.Trigger(t.Context(), "report", "ann"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if got := ticksOf(t, q, "default"); len(got) != 1 {
			t.Errorf("enqueued %q, want one task", got)
		}
		p.set(nil)
		time.Sleep(11 * time.Second)
		if _, err := ops.Trigger(t.Context(), "report", "ann"); !errors.Is(err, inspect.ErrNotTriggered) || !strings.Contains(err.Error(), "nobody listens") {
			t.Errorf("the provider has dropped it, but: %v", err)
		}
		m.Shutdown()
		if err := locker.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A name that two queues have is refused for one of them, and for the same one on all replicas: else both would get the ticks.
//
// Seen to fail when a map's order decided, and when the error did not say how the two differ.
func TestWithTriggers_queues(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			p, seen := &configs{}, &events{}
			p.set(nil, each("@yearly", "report", asynq.Queue("a")), each("@yearly", "report", asynq.Queue("b")))
			m := manage(t, newQueue(t), p, asynqadapter.WithTriggers(newLocker(t, redlocktest.Servers(1))), asynqadapter.WithObserver(seen.observe))
			if got := fmt.Sprint(m.Entries()[0].Opts[0]); got != `Queue("a")` || len(m.Entries()) != 1 {
				t.Fatalf("%d entries, one with %s", len(m.Entries()), got)
			}
			if err := fmt.Sprint(seen.all[0].Err); !strings.Contains(err, `queue "a"`) || !strings.Contains(err, `queue "b"`) {
				t.Fatalf("refused with %s", err)
			}
		})
	}
}

// A trigger's name must be unique on its Locker: if another job had it too, either one might run.
//
// Seen to fail when a name was reserved in its queue alone, and when a refused one stayed reserved there.
func TestWithTriggers_names(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		locker := triggering(t, redlocktest.Servers(1), "r")
		jobs, err := cronadapter.New(locker)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jobs.AddFunc(cron.New(), "cron", "@hourly", func() {}); err != nil {
			t.Fatal(err)
		}
		client, other := link{newLedger(), 0}, link{newLedger(), 0}
		s := newScheduler(t, client, nil, asynqadapter.WithTriggers(locker))
		register(t, s, "@hourly", asynq.NewTask("report", nil))
		for _, c := range []struct {
			name    string
			client  asynqadapter.Enqueuer
			task    string
			opts    []asynq.Option
			refused bool
		}{
			{"a cron job's", client, "cron", nil, true},
			{"the same work", client, "report", nil, false},
			{"another queue", client, "report", []asynq.Option{asynq.Queue("low")}, true},
			{"another Redis", other, "report", nil, true},
		} {
			second := newScheduler(t, c.client, nil, asynqadapter.WithTriggers(locker))
			if _, err := second.Register("@hourly", asynq.NewTask(c.task, nil), c.opts...); errors.Is(err, redlock.ErrInvalid) != c.refused {
				t.Errorf("%s: %v", c.name, err)
			}
			second.Shutdown()
		}
		if _, err := newScheduler(t, client, nil).Register("@daily", asynq.NewTask("cron", nil)); err != nil {
			t.Errorf("a refused entry kept its name in the queue: %v", err)
		}
		if _, err := jobs.AddFunc(cron.New(), "report", "@hourly", func() {}); !errors.Is(err, redlock.ErrInvalid) {
			t.Errorf("a cron job took the entry's name: %v", err)
		}
		s.Shutdown()
		if _, err := jobs.AddFunc(cron.New(), "report", "@hourly", func() {}); err != nil {
			t.Errorf("the entry is gone, but: %v", err)
		}
		jobs.Stop(cron.New())
		_ = locker.Close(t.Context())
	})
}

func TestWithTriggers_nil(t *testing.T) {
	if _, err := asynqadapter.NewScheduler(newLedger().client(), nil, asynqadapter.WithTriggers(nil)); !errors.Is(err, redlock.ErrInvalid) {
		t.Errorf("%v, want ErrInvalid", err)
	}
}

func (l *ledger) client() asynqadapter.Enqueuer { return link{l, 0} }

// Three replicas on a real server: one task.
func TestWithTriggers_real(t *testing.T) {
	server := redisserver.Start(t)
	connect := func() redis.UniversalClient {
		c := redis.NewClient(&redis.Options{Addr: server.Addr()})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	for range 3 {
		locker, err := redlock.New(goredis.Nodes(connect()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = locker.Close(t.Context()) })
		s := newScheduler(t, asynq.NewClientFromRedisClient(connect()), nil, asynqadapter.WithTriggers(locker))
		register(t, s, "0 0 1 1 *", asynq.NewTask("report", nil))
		start(t, s)
	}
	ops, err := inspect.New(goredis.Nodes(connect()))
	if err != nil {
		t.Fatal(err)
	}
	var claimed inspect.Tick
	for end := time.Now().Add(30 * time.Second); ; { // until they listen
		if claimed, err = ops.Trigger(t.Context(), "report", "ann"); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	tasks := asynq.NewInspectorFromRedisClient(connect())
	enqueued := func() (n int) {
		pending, _ := tasks.ListPendingTasks("default") // on a busy machine another one may come that nobody waits for any more
		for _, task := range pending {
			if task.ID == "report@"+claimed.Tick.Format(time.RFC3339Nano) {
				n++
			}
		}
		return n
	}
	for end := time.Now().Add(30 * time.Second); enqueued() == 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond) // the others are told as well
	if n := enqueued(); n != 1 {
		t.Errorf("%d tasks, want 1", n)
	}
}
