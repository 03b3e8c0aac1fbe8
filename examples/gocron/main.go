// Gocron runs one gocron schedule in three replicas of a service, as processes whose
// clocks differ. Each tick runs on one of them, even after one is killed.
//
//	go run ./examples/gocron
//	go run ./examples/gocron -locker=redsync-style
//	REDIS_ADDRS=host1:6379,host2:6379,host3:6379 go run ./examples/gocron -ticks 60
//
// It starts embedded Redis nodes unless REDIS_ADDRS names real ones. The last line
// counts the ticks; the exit status is 0 only if each was run exactly once.
//
// The part to copy is in schedule.go.
package main

import (
	"context"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/examples/internal/demo"
	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
)

func main() {
	lock := demo.ChooseLocker()
	demo.Main(demo.Demo{
		Schedule: "gocron schedule",
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
	scheduler, err := start(locker, r, lock)
	if err != nil {
		return err
	}
	r.Ready()
	<-ctx.Done()
	err = scheduler.Shutdown()
	r.Close(locker)
	return err
}

func start(locker *redlock.Locker, r *demo.Replica, lock demo.Locker) (gocron.Scheduler, error) {
	clock := shifted(r.Skew)
	if lock == demo.PerRun {
		return startRedsyncStyle(locker, r, clock)
	}
	return startSchedule(locker, r.Job("pulse"), r.Job("report"), gocronadapter.WithClock(clock))
}
