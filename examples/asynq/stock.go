package main

import (
	"errors"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
)

// A stock asynq.Scheduler on every replica is the problem that asynqadapter solves:
// each one enqueues each tick. If it has to stay, its tasks can be stamped with their
// ticks, so that workers drop the duplicates.

// startStock starts asynq's scheduler with stamped tasks.
func startStock(redis asynq.RedisConnOpt, queue string) (*asynq.Scheduler, error) {
	stamp := asynqadapter.NewStamp(&asynq.SchedulerOpts{LogLevel: asynq.WarnLevel})
	scheduler := asynq.NewScheduler(redis, stamp.SchedulerOpts())
	register := func(spec, job string) error {
		task := asynq.NewTaskWithHeaders(job, nil, map[string]string{})
		_, err := stamp.Register(scheduler, spec, task, asynq.Queue(queue))
		return err
	}
	return scheduler, errors.Join(register("@every 1s", "pulse"), register("@every 5s", "report"), scheduler.Start())
}

// startStockWorkers runs every task or, with oncePerTick, one per tick.
func startStockWorkers(redis asynq.RedisConnOpt, queue string, locker *redlock.Locker, oncePerTick bool, pulse, report asynq.Handler) (*asynq.Server, error) {
	mux := asynq.NewServeMux()
	if oncePerTick {
		dropDuplicates, err := asynqadapter.OncePerTick(locker)
		if err != nil {
			return nil, err
		}
		mux.Use(dropDuplicates)
	}
	mux.Handle("pulse", pulse)
	mux.Handle("report", report)
	server := newServer(redis, queue)
	return server, server.Start(mux)
}
