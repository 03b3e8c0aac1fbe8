package main

import (
	"errors"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
)

// This file is the part to copy: every replica of a service runs it, as worker
// and as scheduler, and each tick of each job is one task.

// startSchedule needs no lock: asynq's Redis accepts each tick's task once. The
// variadic options are for the demo.
func startSchedule(client *asynq.Client, queue string, opts ...asynqadapter.SchedulerOption) (*asynqadapter.Scheduler, error) {
	scheduler, err := asynqadapter.NewScheduler(client, &asynq.SchedulerOpts{Location: time.UTC}, opts...)
	if err != nil {
		return nil, err
	}
	_, err1 := scheduler.Register("@every 1s", asynq.NewTask("pulse", nil), asynq.Queue(queue))
	_, err2 := scheduler.Register("@every 5s", asynq.NewTask("report", nil), asynq.Queue(queue))
	return scheduler, errors.Join(err1, err2, scheduler.Start())
}

// startWorkers runs the tasks. While a report takes longer than its interval, the next
// one is sent back to run later, which spends no retry.
func startWorkers(redis asynq.RedisConnOpt, queue string, locker *redlock.Locker, pulse, report asynq.Handler) (*asynq.Server, error) {
	oneAtATime, err := asynqadapter.Middleware(locker)
	if err != nil {
		return nil, err
	}
	mux := asynq.NewServeMux()
	mux.Handle("pulse", pulse)
	mux.Handle("report", oneAtATime(report))
	server := newServer(redis, queue)
	return server, server.Start(mux)
}

func newServer(redis asynq.RedisConnOpt, queue string) *asynq.Server {
	return asynq.NewServer(redis, asynqadapter.Configure(asynq.Config{
		Concurrency:       4,
		Queues:            map[string]int{queue: 1},
		TaskCheckInterval: 50 * time.Millisecond, // asynq polls; its default is 1 s
		ShutdownTimeout:   3 * time.Second,
		LogLevel:          asynq.WarnLevel,
	}))
}

// newLocker lets independent Redis nodes vote. One of them may be asynq's.
func newLocker(addrs []string, opts ...redlock.LockerOption) (*redlock.Locker, error) {
	var nodes []driver.Node
	for _, addr := range addrs {
		nodes = append(nodes, goredis.Nodes(redis.NewClient(&redis.Options{Addr: addr}))...)
	}
	// The TTL bounds how long a crashed replica blocks a lock. Running jobs renew theirs.
	return redlock.New(nodes, append(opts, redlock.WithTTL(3*time.Second))...)
}
