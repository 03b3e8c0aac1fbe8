package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/dashboard"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/inspect"
)

// newPage is what a service mounts behind its own login.
func newPage(addrs []string) (http.Handler, error) {
	inspector, err := inspect.New(connect(addrs))
	if err != nil {
		return nil, err
	}
	return dashboard.New(inspector, dashboard.WithNames("demo:"), dashboard.WithControl(user))
}

// user is who is logged in, for the pauses that are made on the page.
func user(r *http.Request) string {
	name, _, _ := r.BasicAuth()
	return name
}

func newLocker(addrs []string, holder string) (*redlock.Locker, error) {
	return redlock.New(connect(addrs), redlock.WithHolder(holder), redlock.WithTTL(5*time.Second))
}

func connect(addrs []string) (nodes []driver.Node) {
	for _, addr := range addrs {
		nodes = append(nodes, goredis.Nodes(redis.NewClient(&redis.Options{Addr: addr}))...)
	}
	return nodes
}

// work is one replica: a schedule, and a leadership.
func work(ctx context.Context, name string, addrs []string) error {
	locker, err := newLocker(addrs, name)
	if err != nil {
		return err
	}
	scheduler, err := gocronadapter.NewScheduler(locker)
	if err != nil {
		return err
	}
	takes := func(least, most time.Duration, failure func(ctx context.Context) error) gocron.Task {
		return gocronadapter.Task(func(ctx context.Context) error {
			select {
			case <-time.After(least + rand.N(most-least)):
				return failure(ctx)
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}
	flaky := func(ctx context.Context) error {
		if tick, _ := redlock.TickFrom(ctx); tick.Second()%12 != 0 { // three runs of four
			return nil
		}
		return errors.New("dial tcp 10.0.4.17:5432: connect: connection refused")
	}
	never := func(context.Context) error { return nil }
	_, err1 := scheduler.NewJob(gocron.CronJob("* * * * * *", true), takes(time.Millisecond, 40*time.Millisecond, never), gocron.WithName("demo:pulse"))
	_, err2 := scheduler.NewJob(gocron.CronJob("*/5 * * * * *", true), takes(time.Second, 4*time.Second, never), gocron.WithName("demo:report"))
	_, err3 := scheduler.NewJob(gocron.CronJob("*/3 * * * * *", true), takes(100*time.Millisecond, time.Second, flaky), gocron.WithName("demo:feed"))
	leadership, err4 := locker.NewMutex("demo:leader")
	elector, err5 := redlock.NewElector(leadership)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	scheduler.Start()
	_ = elector.Run(ctx, nil)
	// Nodes that are gone as well must not keep a replica from ending.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return errors.Join(scheduler.Shutdown(), locker.Close(ctx))
}
