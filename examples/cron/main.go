// Cron runs one robfig/cron schedule in three replicas of a service, as processes whose
// clocks differ. Each tick runs on one of them, even after one is killed.
//
//	go run ./examples/cron
//	go run ./examples/cron -locker=redsync-style
//	REDIS_ADDRS=host1:6379,host2:6379,host3:6379 go run ./examples/cron -ticks 60
//
// It starts embedded Redis nodes unless REDIS_ADDRS names real ones. The last line
// counts the ticks; the exit status is 0 only if each was run exactly once.
//
// The part to copy is in schedule.go.
package main

import (
	"context"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/examples/internal/demo"
	"github.com/redtick/redtick/redlock"
)

func main() {
	lock := demo.ChooseLocker()
	demo.Main(demo.Demo{
		Schedule: "cron schedule",
		Explain:  lock.Explain,
		Jobs:     demo.PulseAndReport,
		Replica:  func(ctx context.Context, r *demo.Replica) error { return serve(ctx, r, *lock) },
	})
}

// serve runs a replica until ctx ends.
func serve(ctx context.Context, r *demo.Replica, lock demo.Locker) error {
	locker, err := newLocker(r.Addrs, r.LockerOptions()...)
	if err != nil {
		return err
	}
	adapter, err := cronadapter.New(locker, cronadapter.WithClock(r.Now))
	if err != nil {
		return err
	}
	c := cron.New(cron.WithSeconds())
	if err := add(c, adapter, locker, r, lock); err != nil {
		return err
	}
	shift(c, r.Skew)
	c.Start()
	r.Ready()
	<-ctx.Done()
	stop(c, adapter)
	r.Close(locker)
	return nil
}

func add(c *cron.Cron, a *cronadapter.Adapter, locker *redlock.Locker, r *demo.Replica, lock demo.Locker) error {
	if lock == demo.PerRun {
		return addRedsyncStyle(c, locker, r)
	}
	return addJobs(c, a, r.Job("pulse"), r.Job("report"))
}
