package asynqadapter_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// exampleRedis returns asynq's Redis.
func exampleRedis() (asynq.RedisConnOpt, func()) {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	return asynq.RedisClientOpt{Addr: server.Addr()}, server.Close
}

// exampleLocker returns a Locker. A service calls
// redlock.New(goredis.Nodes(rdb1, rdb2, rdb3)).
func exampleLocker(opts ...redlock.LockerOption) *redlock.Locker {
	locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(3), "example"), opts...)
	if err != nil {
		log.Fatal(err)
	}
	return locker
}

// awayFromTick waits until no tick is near: schedulers that start on both sides of one
// would not all have it.
func awayFromTick() {
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1100 * time.Millisecond)))
}

// quick makes the examples' servers poll often and log nothing.
var quick = asynq.Config{Concurrency: 5, TaskCheckInterval: 20 * time.Millisecond, LogLevel: asynq.FatalLevel}

// Two tasks for one customer, and workers that could run both at once.
func ExampleMiddleware() {
	redis, stop := exampleRedis()
	defer stop()
	locker := exampleLocker()
	defer locker.Close(context.Background())

	perCustomer := func(_ context.Context, task *asynq.Task) string { return "customer:" + string(task.Payload()) }
	oneAtATime, err := asynqadapter.Middleware(locker, asynqadapter.WithKey(perCustomer), asynqadapter.WithBusy(asynqadapter.Wait))
	if err != nil {
		log.Fatal(err)
	}
	var done sync.WaitGroup
	mux := asynq.NewServeMux()
	mux.Use(oneAtATime)
	mux.HandleFunc("invoice", func(ctx context.Context, _ *asynq.Task) error {
		fmt.Println("begin")
		time.Sleep(50 * time.Millisecond)
		fmt.Println("end")
		done.Done()
		return ctx.Err()
	})
	server := asynq.NewServer(redis, asynqadapter.Configure(quick))
	if err := server.Start(mux); err != nil {
		log.Fatal(err)
	}
	defer server.Shutdown()

	client := asynq.NewClient(redis)
	defer client.Close()
	done.Add(2)
	for range 2 {
		if _, err := client.Enqueue(asynq.NewTask("invoice", []byte("7"))); err != nil {
			log.Fatal(err)
		}
	}
	done.Wait()
	// Output:
	// begin
	// end
	// begin
	// end
}

// Three replicas of a service, each with the same schedule.
func ExampleScheduler() {
	redis, stop := exampleRedis()
	defer stop()

	begin := time.Now()
	almostNine := func() time.Time {
		return time.Date(2026, 3, 2, 8, 59, 59, 7e8, time.UTC).Add(time.Since(begin))
	}
	outcomes := make(chan error)
	for range 3 {
		client := asynq.NewClient(redis)
		defer client.Close()
		scheduler, err := asynqadapter.NewScheduler(client, &asynq.SchedulerOpts{
			Location:        time.UTC,
			PostEnqueueFunc: func(_ *asynq.TaskInfo, err error) { outcomes <- err },
		}, asynqadapter.WithClock(almostNine))
		if err != nil {
			log.Fatal(err)
		}
		if _, err := scheduler.Register("0 9 * * *", asynq.NewTask("report", nil), asynq.MaxRetry(3)); err != nil {
			log.Fatal(err)
		}
		if err := scheduler.Start(); err != nil {
			log.Fatal(err)
		}
		defer scheduler.Shutdown()
	}
	enqueued, elsewhere := 0, 0
	for range 3 {
		if err := <-outcomes; err == nil {
			enqueued++
		} else if errors.Is(err, asynq.ErrTaskIDConflict) {
			elsewhere++
		}
	}
	fmt.Printf("enqueued by %d, left to another by %d\n", enqueued, elsewhere)
	inspector := asynq.NewInspector(redis)
	defer inspector.Close()
	_, err := inspector.GetTaskInfo("default", "report@2026-03-02T09:00:00Z")
	fmt.Println("found by name and tick:", err == nil)
	// Output:
	// enqueued by 1, left to another by 2
	// found by name and tick: true
}

// Three replicas that each run a stock asynq.Scheduler, and workers that drop the
// duplicates.
func ExampleOncePerTick() {
	redis, stop := exampleRedis()
	defer stop()
	events := make(chan string, 100)
	locker := exampleLocker(redlock.WithObserver(func(e redlock.Event) {
		if e.Kind == asynqadapter.Dropped {
			events <- string(e.Kind)
		}
	}))
	defer locker.Close(context.Background())

	oncePerTick, err := asynqadapter.OncePerTick(locker)
	if err != nil {
		log.Fatal(err)
	}
	mux := asynq.NewServeMux()
	mux.Use(oncePerTick)
	mux.HandleFunc("report", func(ctx context.Context, task *asynq.Task) error {
		_, ok := asynqadapter.TickOf(task)
		events <- fmt.Sprintf("run, with its tick: %t", ok)
		return nil
	})
	awayFromTick()
	for range 3 {
		stamp := asynqadapter.NewStamp(&asynq.SchedulerOpts{LogLevel: asynq.FatalLevel})
		scheduler := asynq.NewScheduler(redis, stamp.SchedulerOpts())
		task := asynq.NewTaskWithHeaders("report", nil, map[string]string{})
		if _, err := stamp.Register(scheduler, "@every 1s", task); err != nil {
			log.Fatal(err)
		}
		if err := scheduler.Start(); err != nil {
			log.Fatal(err)
		}
		defer scheduler.Shutdown()
	}
	cfg := quick
	cfg.Concurrency = 1
	server := asynq.NewServer(redis, asynqadapter.Configure(cfg))
	if err := server.Start(mux); err != nil {
		log.Fatal(err)
	}
	defer server.Shutdown()
	for range 3 {
		fmt.Println(<-events)
	}
	// Output:
	// run, with its tick: true
	// dropped
	// dropped
}

// everySecond is a provider. A service would read the configs from a table.
type everySecond struct{}

func (everySecond) GetConfigs() ([]*asynq.PeriodicTaskConfig, error) {
	return []*asynq.PeriodicTaskConfig{{Cronspec: "@every 1s", Task: asynq.NewTask("report", nil)}}, nil
}

// Three replicas of a service that used asynq.NewPeriodicTaskManager.
func ExamplePeriodicTaskManager() {
	redis, stop := exampleRedis()
	defer stop()

	outcomes := make(chan error, 100)
	awayFromTick()
	for range 3 {
		manager, err := asynqadapter.NewPeriodicTaskManager(asynq.PeriodicTaskManagerOpts{
			PeriodicTaskConfigProvider: everySecond{},
			RedisConnOpt:               redis,
			SchedulerOpts: &asynq.SchedulerOpts{
				LogLevel:        asynq.FatalLevel,
				PostEnqueueFunc: func(_ *asynq.TaskInfo, err error) { outcomes <- err },
			},
		})
		if err != nil {
			log.Fatal(err)
		}
		if err := manager.Start(); err != nil {
			log.Fatal(err)
		}
		defer manager.Shutdown()
	}
	enqueued := 0
	for range 3 {
		if <-outcomes == nil {
			enqueued++
		}
	}
	fmt.Println("tasks for the first tick:", enqueued)
	// Output:
	// tasks for the first tick: 1
}
