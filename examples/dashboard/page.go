package main

import (
	"context"
	"errors"
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
	return dashboard.New(inspector, dashboard.WithNames("demo:"), dashboard.WithRelease())
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
	takes := func(d time.Duration) gocron.Task {
		return gocronadapter.Task(func(ctx context.Context) error {
			select {
			case <-time.After(d):
			case <-ctx.Done():
			}
			return nil
		})
	}
	_, err1 := scheduler.NewJob(gocron.CronJob("* * * * * *", true), takes(time.Millisecond), gocron.WithName("demo:pulse"))
	_, err2 := scheduler.NewJob(gocron.CronJob("*/5 * * * * *", true), takes(3*time.Second), gocron.WithName("demo:report"))
	leadership, err3 := locker.NewMutex("demo:leader")
	elector, err4 := redlock.NewElector(leadership)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	scheduler.Start()
	_ = elector.Run(ctx, nil)
	// Nodes that are gone as well must not keep a replica from ending.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return errors.Join(scheduler.Shutdown(), locker.Close(ctx))
}
