package main

import (
	"context"
	"errors"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/examples/internal/demo"
	"github.com/redtick/redtick/redlock"
)

// releasedAfterRun shows the problem that redtick solves. It locks as redsync and
// gocron-redis-lock do: SET NX PX on a majority when the run starts, compare and delete
// when it ends. That keeps runs from overlapping, but does not limit them to one per
// tick: a replica that asks after a short run has ended gets the lock again.
type releasedAfterRun struct{ locker *redlock.Locker }

func (l releasedAfterRun) Lock(ctx context.Context, key string) (gocron.Lock, error) {
	mutex, err := l.locker.NewMutex(key)
	if err != nil {
		return nil, err
	}
	lease, err := mutex.TryLock(ctx)
	if err != nil {
		return nil, err
	}
	return lease, nil
}

// startRedsyncStyle is startSchedule with this lock.
func startRedsyncStyle(locker *redlock.Locker, r *demo.Replica, c clock) (gocron.Scheduler, error) {
	scheduler, err := gocron.NewScheduler(gocron.WithClock(c), gocron.WithDistributedLocker(releasedAfterRun{locker}))
	if err != nil {
		return nil, err
	}
	task := func(job string) gocron.Task {
		return gocron.NewTask(func(ctx context.Context) error { return r.Work(ctx, job, time.Time{}) })
	}
	_, err1 := scheduler.NewJob(gocron.CronJob("* * * * * *", true), task("pulse"), gocron.WithName("pulse"))
	_, err2 := scheduler.NewJob(gocron.CronJob("*/5 * * * * *", true), task("report"), gocron.WithName("report"))
	scheduler.Start()
	return scheduler, errors.Join(err1, err2)
}
