// Netresearchcron is a service that uses github.com/netresearch/go-cron, a maintained
// fork of robfig/cron. Every replica runs it, and each tick of each job runs on one of
// them.
//
//	REDIS_ADDRS=host1:6379,host2:6379,host3:6379 go run .
//
// It is a module of its own, so that redtick does not depend on the fork.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, strings.Split(os.Getenv("REDIS_ADDRS"), ",")); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, addrs []string) error {
	var nodes []driver.Node
	for _, addr := range addrs {
		nodes = append(nodes, goredis.Nodes(redis.NewClient(&redis.Options{Addr: addr}))...)
	}
	locker, err := redlock.New(nodes)
	if err != nil {
		return err
	}
	adapter, err := cronadapter.New(locker)
	if err != nil {
		return err
	}
	c := cron.New(cron.WithLocation(time.UTC), cron.WithChain(cron.Recover(cron.DefaultLogger)))
	if err := add(c, adapter, "report", "* * * * *", report); err != nil {
		return err
	}
	c.Start()
	<-ctx.Done()
	<-adapter.Stop(c).Done()
	limit, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return locker.Close(limit)
}

// add is the part to copy. The fork parses the spec, so its own dialect applies: if a
// spec has a day of the month and a day of the week, both must match. The name is the
// key in Redis and the name of the fork's entry.
func add(c *cron.Cron, a *cronadapter.Adapter, name, spec string, f func(context.Context) error, opts ...cron.JobOption) error {
	schedule, err := cron.ParseStandard(spec)
	if err != nil {
		return err
	}
	job, err := a.NewJob(name, schedule, f)
	if err != nil {
		return err
	}
	_, err = c.ScheduleJob(job, job, append(opts, cron.WithName(name))...)
	return err
}

func report(ctx context.Context) error {
	tick, ok := redlock.TickFrom(ctx)
	if !ok {
		return errors.New("the run has no tick")
	}
	log.Printf("the report of %s", tick.Format(time.RFC3339))
	return nil
}
