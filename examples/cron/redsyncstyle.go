package main

import (
	"context"
	"errors"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/examples/internal/demo"
	"github.com/redtick/redtick/redlock"
)

// releasedAfterRun shows the problem that redtick solves. It locks in the usual way
// with redsync: SET NX PX on a majority when the run starts, compare and delete when it
// ends. That keeps runs from overlapping, but does not limit them to one per tick: a
// replica that asks after a short run has ended gets the lock again.
func releasedAfterRun(m *redlock.Mutex, job func(context.Context) error) func() {
	return func() {
		ctx := context.Background()
		lease, err := m.TryLock(ctx)
		if err != nil {
			return
		}
		defer func() { _ = lease.Unlock(ctx) }()
		_ = job(lease.Context())
	}
}

// addRedsyncStyle is addJobs with this lock.
func addRedsyncStyle(c *cron.Cron, locker *redlock.Locker, r *demo.Replica) error {
	add := func(name, spec string) error {
		m, err := locker.NewMutex(name)
		if err != nil {
			return err
		}
		_, err = c.AddFunc(spec, releasedAfterRun(m, func(ctx context.Context) error { return r.Work(ctx, name, time.Time{}) }))
		return err
	}
	return errors.Join(add("pulse", "* * * * * *"), add("report", "*/5 * * * * *"))
}
