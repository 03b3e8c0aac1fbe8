package main

import (
	"context"
	"errors"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
)

// This file is the part to copy: every replica of a service runs it, and each tick of
// each job runs on one of them. The variadic options are for the demo; a service may
// leave them out.

// newLocker lets independent Redis nodes vote.
func newLocker(addrs []string, opts ...redlock.LockerOption) (*redlock.Locker, error) {
	var nodes []driver.Node
	for _, addr := range addrs {
		nodes = append(nodes, goredis.Nodes(redis.NewClient(&redis.Options{Addr: addr}))...)
	}
	// The TTL bounds how long a crashed replica blocks a lock. Running jobs renew theirs.
	opts = append(opts, redlock.WithTTL(3*time.Second))
	return redlock.New(nodes, opts...)
}

// startSchedule starts the jobs, under names that are the same on all replicas.
func startSchedule(locker *redlock.Locker, pulse, report func(context.Context) error, opts ...gocronadapter.Option) (gocron.Scheduler, error) {
	scheduler, err := gocronadapter.NewScheduler(locker, opts...)
	if err != nil {
		return nil, err
	}
	_, err1 := scheduler.NewJob(gocron.CronJob("* * * * * *", true), gocronadapter.Task(pulse), gocron.WithName("pulse"))
	_, err2 := scheduler.NewJob(gocron.CronJob("*/5 * * * * *", true), gocronadapter.Task(report), gocron.WithName("report"))
	scheduler.Start()
	return scheduler, errors.Join(err1, err2)
}
