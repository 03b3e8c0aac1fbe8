// Gocron shows three replicas of one service, as processes of their own with
// clocks apart, that run one gocron schedule: each tick runs on one of them,
// also after one was killed.
//
//	go run ./examples/gocron
//	go run ./examples/gocron -locker=redsync-style
//	REDIS_ADDRS=host1:6379,host2:6379,host3:6379 go run ./examples/gocron -ticks 60
//
// It starts an embedded Redis unless REDIS_ADDRS names independent nodes. The
// last line counts the ticks; the exit status is 0 only when none was run more
// than once and none was missed.
//
// What to copy from it is in schedule.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/examples/internal/demo"
	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
)

const closeLimit = 2 * time.Second

func main() {
	lock := tickLocker
	demo.Choose(&lock, "locker", fmt.Sprintf("%q, or %q to see the problem: a lock that is released when the run is over", tickLocker, runLocker), explanations)
	demo.Main(demo.Demo{
		Schedule: "gocron schedule",
		Explain:  func() string { return explanations[lock] },
		Jobs: []demo.Job{
			{Name: "pulse", Every: time.Second, Lasts: time.Millisecond},
			{Name: "report", Every: 5 * time.Second, Lasts: 1500 * time.Millisecond},
		},
		Replica: func(ctx context.Context, r *demo.Replica) error { return serve(ctx, r, lock) },
	})
}

// serve is a replica's life.
func serve(ctx context.Context, r *demo.Replica, lock lockerFlag) error {
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
	limit, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if err := locker.Close(limit); err != nil {
		r.Trouble(err) // a node is down: what it is owed expires there
	}
	return err
}

func start(locker *redlock.Locker, r *demo.Replica, lock lockerFlag) (gocron.Scheduler, error) {
	clock := shifted(r.Skew)
	if lock == runLocker {
		return startRedsyncStyle(locker, r, clock)
	}
	return startSchedule(locker, work(r, "pulse"), work(r, "report"), gocronadapter.WithClock(clock))
}

// work is what the jobs do: the show's counting, for the tick they are told.
func work(r *demo.Replica, job string) func(context.Context) error {
	return func(ctx context.Context) error {
		tick, ok := redlock.TickFrom(ctx)
		if !ok {
			return errors.New("the run has no tick")
		}
		return r.Work(ctx, job, tick)
	}
}

// lockerFlag is the value of -locker.
type lockerFlag string

const (
	tickLocker lockerFlag = "redtick"
	runLocker  lockerFlag = "redsync-style"
)

var explanations = map[lockerFlag]string{
	tickLocker: "With redtick each tick is claimed by one replica, and stays claimed when the run is over.",
	runLocker:  "With a redsync-style lock, free when the run is over, late replicas run the tick again.",
}
