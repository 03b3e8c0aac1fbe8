package asynqadapter_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
)

func newStamped(t testing.TB, q *queue, opts *asynq.SchedulerOpts) (*asynqadapter.Stamp, *asynq.Scheduler) {
	stamp := asynqadapter.NewStamp(opts)
	return stamp, asynq.NewScheduler(q, stamp.SchedulerOpts())
}

// Two entries of one task, in each of three schedulers that beat and print
// what they enqueue. The race detector watches.
//
// Mutations: no enqueuing lock; info.Headers not cloned; the options' array shared
// between two entries; PreEnqueueFunc can reach the stamp.
func TestStamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		where := location(t, "America/New_York")
		for range 3 {
			before, after := sync.Map{}, sync.Map{}
			stamp, scheduler := newStamped(t, q, &asynq.SchedulerOpts{
				Location: where, HeartbeatInterval: 10 * time.Second, Logger: &lines{}, LogLevel: asynq.DebugLevel,
				PreEnqueueFunc: func(task *asynq.Task, opts []asynq.Option) {
					before.Store(task.Headers()["redtick-tick"], true)
					clear(opts[min(1, len(opts)):]) // there is nothing beyond what was registered
				},
				PostEnqueueFunc: func(info *asynq.TaskInfo, _ error) { after.Store(info.Headers["redtick-tick"], true) },
			})
			task := asynq.NewTaskWithHeaders("job", nil, map[string]string{"mine": "kept"}, asynq.Queue("inside"))
			opts := append(make([]asynq.Option, 0, 2), asynq.MaxRetry(3))
			for _, spec := range []string{"* * * * *", "30 19 * * *", "@every 90s"} {
				if _, err := stamp.Register(scheduler, spec, task, opts...); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := scheduler.Register("@hourly", asynq.NewTask("plain", nil, asynq.Queue("inside"))); err != nil {
				t.Fatal(err)
			}
			if err := scheduler.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(scheduler.Shutdown)
			time.Sleep(41 * time.Second)
			t.Cleanup(func() {
				if _, told := before.Load("2000-01-01T00:30:00Z"); !told {
					t.Error("PreEnqueueFunc was not called with the tick")
				}
				if _, told := after.Load("2000-01-01T00:30:00Z"); !told {
					t.Error("PostEnqueueFunc was not called with the tick")
				}
			})
		}
		time.Sleep(time.Until(time.Date(2000, 1, 1, 1, 0, 30, 0, time.UTC)))
		counts := stampsOf(t, q)
		// The minute on which all three spec activate: 19:30 in New York is 00:30 UTC, a multiple of 90 s.
		for key, want := range map[string]int{"job 2000-01-01T00:30:00Z": 9, "job 2000-01-01T00:31:00Z": 3, "job 2000-01-01T00:31:30Z": 3, "plain ": 3} {
			if counts[key] != want {
				t.Errorf("%d tasks %q, want %d", counts[key], key, want)
			}
		}
	})
}

// stampsOf counts the tasks of TestStamp by type and tick.
func stampsOf(t *testing.T, q *queue) map[string]int {
	t.Helper()
	counts := map[string]int{}
	tasks, err := q.inspector().ListPendingTasks("inside", asynq.PageSize(1000))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if task.Type == "job" && task.Headers["mine"] != "kept" {
			t.Fatalf("headers %v", task.Headers)
		}
		counts[task.Type+" "+task.Headers["redtick-tick"]]++
	}
	return counts
}

func TestStamp_Register_invalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stamp, scheduler := newStamped(t, newQueue(t), &asynq.SchedulerOpts{LogLevel: asynq.FatalLevel})
		headers := map[string]string{}
		for _, c := range []struct {
			name, spec string
			scheduler  *asynq.Scheduler
			task       *asynq.Task
			says       string
			opts       []asynq.Option
		}{
			{"scheduler", "@hourly", nil, asynq.NewTaskWithHeaders("job", nil, headers), "asynq.NewScheduler", nil},
			{"task", "@hourly", scheduler, nil, "NewTaskWithHeaders", nil},
			{"headers", "@hourly", scheduler, asynq.NewTask("job", nil), "NewTaskWithHeaders", nil},
			{"spec", "hourly", scheduler, asynq.NewTaskWithHeaders("job", nil, headers), "five fields", nil},
			{"never", "0 0 30 2 *", scheduler, asynq.NewTaskWithHeaders("job", nil, headers), "no activation", nil},
			{"no type", "@hourly", scheduler, asynq.NewTaskWithHeaders(" ", nil, headers), "no type", nil},
			{"nil option", "@hourly", scheduler, asynq.NewTaskWithHeaders("job", nil, headers), "option 1", []asynq.Option{nil}},
			{"TaskID", "@hourly", scheduler, asynq.NewTaskWithHeaders("job", nil, headers), `TaskID("x")`, []asynq.Option{asynq.TaskID("x")}},
			{"TaskID inside", "@hourly", scheduler, asynq.NewTaskWithHeaders("job", nil, headers, asynq.TaskID("x")), "(inside", nil},
			{"Unique", "@hourly", scheduler, asynq.NewTaskWithHeaders("job", nil, headers), "Unique(", []asynq.Option{asynq.Unique(time.Hour)}},
			{"Group", "@hourly", scheduler, asynq.NewTaskWithHeaders("job", nil, headers), "Group(", []asynq.Option{asynq.Group("g")}},
			{"blank queue", "@hourly", scheduler, asynq.NewTaskWithHeaders("job", nil, headers), "blank queue", []asynq.Option{asynq.Queue(" ")}},
		} {
			if _, err := stamp.Register(c.scheduler, c.spec, c.task, c.opts...); !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: got %v, want ErrInvalid that mentions %q", c.name, err, c.says)
			}
		}
		if err := scheduler.Start(); err != nil { // else nobody closes its connections
			t.Fatal(err)
		}
		scheduler.Shutdown()
	})
}

// Where TickOf finds the tick. Mutations: either source left out.
func TestTickOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		ticks := sync.Map{}
		q.serve(asynq.Config{Concurrency: 1}, func(_ context.Context, task *asynq.Task) error {
			tick, ok := asynqadapter.TickOf(task)
			ticks.Store(task.Type(), fmt.Sprint(tick.Format(time.RFC3339), ok))
			return nil
		})
		tick := time.Date(2000, 10, 29, 6, 30, 0, 0, time.UTC)
		q.enqueue(stamped("header", tick))
		q.enqueue(asynq.NewTask("id", nil), asynq.TaskID("a@b@2000-10-29T06:30:00Z"))
		q.enqueue(asynq.NewTask("none", nil))
		q.enqueue(asynq.NewTask("no name", nil), asynq.TaskID("2000-10-29T06:30:00Z"))
		q.enqueue(asynq.NewTaskWithHeaders("broken", nil, map[string]string{"redtick-tick": "noon"}))
		time.Sleep(5 * time.Second)
		for kind, want := range map[string]string{
			"header": "2000-10-29T06:30:00Ztrue", "id": "2000-10-29T06:30:00Ztrue", "none": "0001-01-01T00:00:00Zfalse", "no name": "0001-01-01T00:00:00Zfalse", "broken": "0001-01-01T00:00:00Zfalse",
		} {
			if got, _ := ticks.Load(kind); got != want {
				t.Errorf("%s: got %v, want %s", kind, got, want)
			}
		}
	})
}

// A callback that ends its goroutine, which is the only way to veto a task of a
// stock scheduler, holds up no other entry.
//
// Mutations: no deferred Unlock in before, or in after.
func TestStamp_callbackEndsItsGoroutine(t *testing.T) {
	veto := func(task string) bool { return task == "vetoed" }
	for name, opts := range map[string]*asynq.SchedulerOpts{
		"before": {PreEnqueueFunc: func(task *asynq.Task, _ []asynq.Option) {
			if veto(task.Type()) {
				runtime.Goexit()
			}
		}},
		"after": {PostEnqueueFunc: func(info *asynq.TaskInfo, _ error) {
			if info != nil && veto(info.Type) {
				runtime.Goexit()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(t)
				stamp, scheduler := newStamped(t, q, opts)
				for _, kind := range []string{"vetoed", "job"} {
					if _, err := stamp.Register(scheduler, "* * * * *", asynq.NewTaskWithHeaders(kind, nil, map[string]string{}, asynq.Queue("inside"))); err != nil {
						t.Fatal(err)
					}
				}
				if err := scheduler.Start(); err != nil {
					t.Fatal(err)
				}
				defer scheduler.Shutdown()
				time.Sleep(10*time.Minute + time.Second)
				tasks, err := q.inspector().ListPendingTasks("inside", asynq.PageSize(1000))
				if err != nil {
					t.Fatal(err)
				}
				jobs := 0
				for _, task := range tasks {
					if task.Type == "job" {
						jobs++
					}
				}
				if jobs != 10 {
					t.Errorf("%d tasks in 10 minutes, want 10", jobs)
				}
			})
		})
	}
}
