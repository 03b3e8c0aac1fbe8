package main

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
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

// addJobs adds the jobs to a cron, under names that are the same on all replicas.
func addJobs(c *cron.Cron, a *cronadapter.Adapter, pulse, report func(context.Context) error) error {
	_, err1 := a.Add(c, "pulse", "* * * * * *", pulse)
	_, err2 := a.Add(c, "report", "*/5 * * * * *", report)
	return errors.Join(err1, err2)
}

// stop cancels running jobs and waits until they have ended.
func stop(c *cron.Cron, a *cronadapter.Adapter) {
	<-a.Stop(c).Done()
}
