package cronadapter_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// exampleLocker returns the Locker of one replica. In a service the nodes come from a driver:
// redlock.New(goredis.Nodes(redis1, redis2, redis3)).
func exampleLocker(servers []*redlocktest.Server, replica string) *redlock.Locker {
	locker, err := redlock.New(redlocktest.Nodes(servers, replica))
	if err != nil {
		log.Fatal(err)
	}
	return locker
}

// Three replicas run the same schedule; the tick runs on one of them.
func ExampleAdapter_Add() {
	servers := redlocktest.Servers(3)
	ticks := make(chan time.Time, 100)
	job := func(ctx context.Context) error {
		tick, _ := redlock.TickFrom(ctx)
		ticks <- tick
		return nil
	}
	var crons []*cron.Cron
	for _, replica := range []string{"a", "b", "c"} {
		adapter, err := cronadapter.New(exampleLocker(servers, replica))
		if err != nil {
			log.Fatal(err)
		}
		c := cron.New(cron.WithSeconds())
		if _, err := adapter.Add(c, "report", "* * * * * *", job); err != nil {
			log.Fatal(err)
		}
		c.Start()
		crons = append(crons, c)
	}
	first := <-ticks
	for _, c := range crons {
		<-c.Stop().Done()
	}
	close(ticks)
	again := 0
	for tick := range ticks {
		if tick.Equal(first) {
			again++
		}
	}
	fmt.Println("on the second:", first.Nanosecond() == 0, "- run again:", again)
	// Output: on the second: true - run again: 0
}

// A job stops when its lease is lost, or when the process shuts down.
func ExampleAdapter_Stop() {
	locker := exampleLocker(redlocktest.Servers(1), "a")
	adapter, err := cronadapter.New(locker)
	if err != nil {
		log.Fatal(err)
	}
	c := cron.New()
	started := make(chan struct{}, 10)
	_, err = adapter.Add(c, "import", "@every 1s", func(ctx context.Context) error {
		started <- struct{}{}
		<-ctx.Done()
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, redlock.ErrLost):
			fmt.Println("another replica may run the next tick already")
		case errors.Is(cause, cronadapter.ErrStopped):
			fmt.Println("stopped")
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	c.Start()
	<-started
	<-adapter.Stop(c).Done()
	fmt.Println("its lease was released")
	fmt.Println(locker.Close(context.Background()))
	// Output:
	// stopped
	// its lease was released
	// <nil>
}

// A job whose code cannot be changed, in a chain.
func ExampleAdapter_Wrap() {
	adapter, err := cronadapter.New(exampleLocker(redlocktest.Servers(1), "a"))
	if err != nil {
		log.Fatal(err)
	}
	c := cron.New(cron.WithSeconds(), cron.WithChain(cron.Recover(cron.DefaultLogger)))
	adapter.Attach(c)
	once, err := adapter.Wrap("cleanup")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{}, 10)
	theirs := cron.FuncJob(func() { done <- struct{}{} })
	if _, err := c.AddJob("* * * * * *", cron.NewChain(once).Then(theirs)); err != nil {
		log.Fatal(err)
	}
	c.Start()
	<-done
	<-c.Stop().Done()
	fmt.Println("cleaned up")
	// Output: cleaned up
}

// halfSecond is a schedule that no spec can express.
type halfSecond struct{}

func (halfSecond) Next(t time.Time) time.Time {
	return t.Truncate(500 * time.Millisecond).Add(500 * time.Millisecond)
}

// A custom schedule, and a chain for one job only.
func ExampleAdapter_NewJob() {
	adapter, err := cronadapter.New(exampleLocker(redlocktest.Servers(1), "a"))
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan int64, 10)
	job, err := adapter.NewJob("pulse", halfSecond{}, func(ctx context.Context) error {
		lease, _ := redlock.LeaseFrom(ctx)
		done <- lease.Fence()
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	c := cron.New()
	c.Schedule(job, cron.NewChain(cron.Recover(cron.DefaultLogger)).Then(job))
	c.Start()
	first, second := <-done, <-done
	<-c.Stop().Done()
	fmt.Println("fences grow:", second > first)
	// Output: fences grow: true
}

// A name is the key in Redis, so it is required and must be unique.
func ExampleAdapter_Add_names() {
	adapter, err := cronadapter.New(exampleLocker(redlocktest.Servers(1), "a"))
	if err != nil {
		log.Fatal(err)
	}
	c := cron.New()
	job := func(context.Context) error { return nil }
	for _, name := range []string{"report", "report", ""} {
		_, err := adapter.Add(c, name, "@daily", job)
		fmt.Println(errors.Is(err, redlock.ErrInvalid), err)
	}
	// Output:
	// false <nil>
	// true cronadapter: redlock: invalid: name "report" belongs to another job of this adapter; two jobs of one name would take each other's ticks: choose another, or Remove that one first
	// true cronadapter: redlock: invalid: name is empty; every job needs its own, the same on all replicas: it is the key of its lock
}
