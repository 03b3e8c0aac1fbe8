package migration_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-co-op/gocron-redis-lock/v2"
	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
)

// The program before: each of three replicas has a locker and a scheduler.
func TestGocron_before(t *testing.T) {
	_, client := start(t)
	run := func(report func()) gocron.Scheduler {
		l, err := redislock.NewRedisLockerWithOptions(client,
			redislock.WithKeyPrefix("app:"), redislock.WithAutoExtendDuration(5*time.Second), redislock.WithRedsyncOptions(redislock.WithTries(1)))
		ok(t, err)
		s, err := gocron.NewScheduler(gocron.WithDistributedLocker(l))
		ok(t, err)
		_, err = s.NewJob(gocron.CronJob("* * * * * *", true), gocron.NewTask(report), gocron.WithName("report"))
		ok(t, err)
		s.Start()
		return s
	}
	ran, seconds := replicas(t, run)
	t.Logf("%d runs in %d seconds, by a lock alone", ran, seconds)
}

// And after. Nothing else of a job changes.
func TestGocron_after(t *testing.T) {
	_, client := start(t)
	run := func(report func()) gocron.Scheduler {
		locker, err := redlock.New(goredis.Nodes(client), redlock.WithPrefix("app:"))
		ok(t, err)
		s, err := gocronadapter.NewScheduler(locker)
		ok(t, err)
		_, err = s.NewJob(gocron.CronJob("* * * * * *", true), gocron.NewTask(report), gocron.WithName("report"))
		ok(t, err)
		s.Start()
		t.Cleanup(func() { ok(t, locker.Close(context.Background())) })
		return s
	}
	if ran, seconds := replicas(t, run); ran > seconds {
		t.Errorf("%d runs in %d seconds", ran, seconds)
	}
}

// What only the other side has: a vote per server, and common ticks for a
// duration.
func TestGocron_beyond(t *testing.T) {
	_, client1 := start(t)
	_, client2 := start(t)
	_, client3 := start(t)
	locker, err := redlock.New(goredis.Nodes(client1, client2, client3))
	ok(t, err)
	s, err := gocronadapter.NewScheduler(locker)
	ok(t, err)
	d := time.Second
	job, err := s.NewJob(gocron.DurationJob(d), gocron.NewTask(func() {}), gocron.WithName("report"), gocronadapter.Aligned(d))
	ok(t, err)
	s.Start()
	next, err := job.NextRun()
	if err != nil || !next.Equal(next.Truncate(d)) {
		t.Errorf("next run at %v (%v), not on the grid", next, err)
	}
	ok(t, s.Shutdown())
	ok(t, locker.Close(context.Background()))
}

// replicas runs three until the job ran twice, and returns how often it ran and
// how many seconds began meanwhile.
func replicas(t *testing.T, run func(report func()) gocron.Scheduler) (ran, seconds int64) {
	var count atomic.Int64
	begin := time.Now().Unix()
	for range 3 {
		s := run(func() { count.Add(1) })
		defer func() { ok(t, s.Shutdown()) }()
	}
	eventually(t, func() bool { return count.Load() >= 2 })
	ran = count.Load()
	return ran, time.Now().Unix() - begin + 1
}
