package gocronadapter_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// connect stands for goredis.Nodes(client1, client2, client3).
func connect(replica string) []driver.Node { return redlocktest.Nodes(exampleServers, replica) }

var exampleServers = redlocktest.Servers(3)

// Three replicas of a service run one schedule: each tick of the job runs on one
// of them.
func ExampleNewScheduler() {
	var runs atomic.Int32
	start := func(replica string) gocron.Scheduler {
		locker, err := redlock.New(connect(replica), redlock.WithTTL(10*time.Second))
		if err != nil {
			panic(err)
		}
		scheduler, err := gocronadapter.NewScheduler(locker)
		if err != nil {
			panic(err)
		}
		_, err = scheduler.NewJob(
			gocron.CronJob("* * * * * *", true),
			gocronadapter.Task(func(ctx context.Context) error {
				runs.Add(1) // ctx ends when the lease is lost
				return nil
			}),
			gocron.WithName("report"),
		)
		if err != nil {
			panic(err)
		}
		scheduler.Start()
		return scheduler
	}

	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1200 * time.Millisecond))) // just after a tick
	a, b, c := start("a"), start("b"), start("c")
	time.Sleep(time.Second)
	fmt.Println("runs of one tick:", runs.Load())

	fmt.Println(errors.Join(a.Shutdown(), b.Shutdown(), c.Shutdown()))
	// Output:
	// runs of one tick: 1
	// <nil>
}

// Two replicas with gocron's own schedulers: one runs the tick, and
// AfterLockError of the other says why it does not.
func ExampleNewLocker() {
	ended := make(chan string, 2)
	task := gocronadapter.Task(func(ctx context.Context) error { return ctx.Err() })
	listen := gocron.WithEventListeners(
		gocron.AfterJobRuns(func(uuid.UUID, string) { ended <- "runs" }),
		gocron.AfterLockError(func(_ uuid.UUID, _ string, err error) {
			if errors.Is(err, redlock.ErrTaken) || errors.Is(err, redlock.ErrTickDone) {
				err = errors.New("another replica runs it")
			}
			ended <- err.Error()
		}),
	)
	at := time.Now().Add(200 * time.Millisecond)
	start := func(replica string) gocron.Scheduler {
		locker, err := redlock.New(connect(replica))
		if err != nil {
			panic(err)
		}
		adapter, err := gocronadapter.NewLocker(locker, gocronadapter.WithJob("backup", redlock.WithTTL(10*time.Second)))
		if err != nil {
			panic(err)
		}
		scheduler, err := gocron.NewScheduler(gocron.WithDistributedLocker(adapter))
		if err != nil {
			panic(err)
		}
		if err := adapter.Attach(scheduler); err != nil { // from then on it knows each run's tick
			panic(err)
		}
		once := gocron.OneTimeJob(gocron.OneTimeJobStartDateTime(at))
		if _, err := scheduler.NewJob(once, task, gocron.WithName("backup"), listen); err != nil {
			panic(err)
		}
		scheduler.Start()
		return scheduler
	}

	a, b := start("a"), start("b")
	fmt.Println(<-ended)
	fmt.Println(<-ended)
	fmt.Println(errors.Join(a.Shutdown(), b.Shutdown()))
	// Unordered output:
	// runs
	// another replica runs it
	// <nil>
}

// A Locker for a scheduler that is made elsewhere. Refusals reach AfterLockError.
func ExampleLocker_Attach() {
	locker, err := redlock.New(connect("a"))
	if err != nil {
		panic(err)
	}
	adapter, err := gocronadapter.NewLocker(locker)
	if err != nil {
		panic(err)
	}
	scheduler, err := gocron.NewScheduler(gocron.WithDistributedLocker(adapter))
	if err != nil {
		panic(err)
	}
	if err := adapter.Attach(scheduler); err != nil {
		panic(err)
	}

	// Another owner holds the job.
	other, _ := locker.NewMutex("import")
	lease, _ := other.TryLock(context.Background())

	refused := make(chan error, 1)
	_, err = scheduler.NewJob(
		gocron.OneTimeJob(gocron.OneTimeJobStartImmediately()),
		gocronadapter.Task(func(ctx context.Context) error { return nil }),
		gocron.WithName("import"),
		gocron.WithEventListeners(gocron.AfterLockError(func(_ uuid.UUID, job string, err error) { refused <- err })),
	)
	if err != nil {
		panic(err)
	}
	scheduler.Start()
	fmt.Println("taken:", errors.Is(<-refused, redlock.ErrTaken))

	fmt.Println(errors.Join(lease.Unlock(context.Background()), scheduler.Shutdown()))
	// Output:
	// taken: true
	// <nil>
}

// A duration job whose ticks are the same on all replicas.
func ExampleAligned() {
	locker, err := redlock.New(connect("a"))
	if err != nil {
		panic(err)
	}
	scheduler, err := gocronadapter.NewScheduler(locker)
	if err != nil {
		panic(err)
	}
	ticks := make(chan time.Time, 10)
	_, err = scheduler.NewJob(
		gocron.DurationJob(200*time.Millisecond),
		gocronadapter.Task(func(ctx context.Context) error {
			tick, _ := redlock.TickFrom(ctx)
			ticks <- tick
			return nil
		}),
		gocronadapter.Aligned(200*time.Millisecond),
		gocron.WithName("poll"),
	)
	if err != nil {
		panic(err)
	}
	scheduler.Start()
	first, second := <-ticks, <-ticks
	grid := func(t time.Time) bool { return t.Equal(t.Truncate(200 * time.Millisecond)) }
	fmt.Println("on the grid:", grid(first), grid(second))

	fmt.Println(scheduler.Shutdown())
	// Output:
	// on the grid: true true
	// <nil>
}

// The tick is a natural fence: a run that has lost its lease without noticing
// writes with an older tick.
func ExampleTask() {
	locker, err := redlock.New(connect("a"))
	if err != nil {
		panic(err)
	}
	scheduler, err := gocronadapter.NewScheduler(locker)
	if err != nil {
		panic(err)
	}
	at := time.Now().Add(100 * time.Millisecond).Truncate(time.Millisecond)
	done := make(chan struct{})
	_, err = scheduler.NewJob(
		gocron.OneTimeJob(gocron.OneTimeJobStartDateTime(at)),
		gocronadapter.Task(func(ctx context.Context) error {
			defer close(done)
			tick, _ := redlock.TickFrom(ctx)
			lease, _ := redlock.LeaseFrom(ctx)
			// db.ExecContext(ctx, "UPDATE report SET …, last_tick = $1 WHERE last_tick < $1", tick)
			fmt.Println("the tick:", tick.Equal(at), "valid:", time.Now().Before(lease.ValidUntil()))
			return ctx.Err()
		}),
		gocron.WithName("invoice"),
	)
	if err != nil {
		panic(err)
	}
	scheduler.Start()
	<-done
	fmt.Println(scheduler.Shutdown())
	// Output:
	// the tick: true valid: true
	// <nil>
}

// RunNow takes the lock and no tick.
func ExampleLocker_RunNow() {
	locker, err := redlock.New(connect("a"))
	if err != nil {
		panic(err)
	}
	adapter, err := gocronadapter.NewLocker(locker)
	if err != nil {
		panic(err)
	}
	scheduler, err := gocron.NewScheduler(gocron.WithDistributedLocker(adapter))
	if err != nil {
		panic(err)
	}
	if err := adapter.Attach(scheduler); err != nil {
		panic(err)
	}
	done := make(chan bool)
	job, err := scheduler.NewJob(
		gocron.CronJob("0 3 * * *", false),
		gocronadapter.Task(func(ctx context.Context) error {
			_, hasTick := redlock.TickFrom(ctx)
			done <- hasTick
			return nil
		}),
		gocron.WithName("cleanup"),
		gocron.WithSingletonMode(gocron.LimitModeReschedule),
	)
	if err != nil {
		panic(err)
	}
	scheduler.Start()
	if err := adapter.RunNow(job); err != nil {
		panic(err)
	}
	fmt.Println("has a tick:", <-done)
	fmt.Println(scheduler.Shutdown())
	// Output:
	// has a tick: false
	// <nil>
}

// An Elector: one replica runs all jobs.
func ExampleNewElector() {
	locker, err := redlock.New(connect("a"), redlock.WithHolder("host-a"))
	if err != nil {
		panic(err)
	}
	elector, err := gocronadapter.NewElector(locker, "billing-schedule")
	if err != nil {
		panic(err)
	}
	scheduler, err := gocron.NewScheduler(gocron.WithDistributedElector(elector))
	if err != nil {
		panic(err)
	}
	ran := make(chan struct{}, 10)
	_, err = scheduler.NewJob(
		gocron.DurationJob(100*time.Millisecond),
		elector.Task(func(ctx context.Context) error { // ctx ends with the leadership
			ran <- struct{}{}
			return nil
		}),
	)
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- elector.Run(ctx) }()
	scheduler.Start()

	<-ran
	leader, err := elector.Leader(ctx)
	fmt.Println("leader:", leader, err)
	fmt.Println(scheduler.Shutdown())
	stop()
	fmt.Println("stopped:", errors.Is(<-stopped, context.Canceled))
	// Output:
	// leader: host-a <nil>
	// <nil>
	// stopped: true
}
