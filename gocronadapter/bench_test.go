package gocronadapter_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// grantAll is a gocron.Locker that asks nobody: what gocron itself costs.
type grantAll struct{}

func (grantAll) Lock(context.Context, string) (gocron.Lock, error) { return grantAll{}, nil }
func (grantAll) Unlock(context.Context) error                      { return nil }

// fleetOf makes schedulers of one kind, and what ends them.
type fleetOf func(tb testing.TB, replicas int) (schedulers []gocron.Scheduler, end func())

func kinds() map[string]fleetOf {
	return map[string]fleetOf{
		"gocron":       func(tb testing.TB, n int) ([]gocron.Scheduler, func()) { return plainFleet(tb, n) },
		"NewScheduler": func(tb testing.TB, n int) ([]gocron.Scheduler, func()) { return redtickFleet(tb, n, false, emulated()) },
		"Attach":       func(tb testing.TB, n int) ([]gocron.Scheduler, func()) { return redtickFleet(tb, n, true, emulated()) },
		"Redis": func(tb testing.TB, n int) ([]gocron.Scheduler, func()) {
			return redtickFleet(tb, n, false, onRedis(tb))
		},
	}
}

// emulated and onRedis connect one replica more to one server. The emulated server takes a third of the time of its ticks.
func emulated() func(replica int) []driver.Node {
	servers := redlocktest.Servers(1)
	return func(replica int) []driver.Node { return redlocktest.Nodes(servers, fmt.Sprint(replica)) }
}

func onRedis(tb testing.TB) func(replica int) []driver.Node {
	server := redisserver.Start(tb)
	return func(int) []driver.Node {
		client := redis.NewClient(&redis.Options{Addr: server.Addr()})
		tb.Cleanup(func() { _ = client.Close() })
		return goredis.Nodes(client)
	}
}

func plainFleet(tb testing.TB, replicas int) (fleet []gocron.Scheduler, end func()) {
	tb.Helper()
	for range replicas {
		s, err := gocron.NewScheduler(gocron.WithDistributedLocker(grantAll{}))
		if err != nil {
			tb.Fatal(err)
		}
		fleet = append(fleet, s)
	}
	return fleet, func() { endAll(fleet, nil) }
}

func redtickFleet(tb testing.TB, replicas int, attach bool, connect func(replica int) []driver.Node) (fleet []gocron.Scheduler, end func()) {
	tb.Helper()
	var lockers []*redlock.Locker
	for i := range replicas {
		l, err := redlock.New(connect(i), redlock.WithObserver(func(redlock.Event) {}))
		if err != nil {
			tb.Fatal(err)
		}
		lockers = append(lockers, l)
		s, err := newBenchScheduler(l, attach)
		if err != nil {
			tb.Fatal(err)
		}
		fleet = append(fleet, s)
	}
	return fleet, func() { endAll(fleet, lockers) }
}

func newBenchScheduler(l *redlock.Locker, attach bool) (gocron.Scheduler, error) {
	if !attach {
		return gocronadapter.NewScheduler(l)
	}
	adapter, err := gocronadapter.NewLocker(l)
	if err != nil {
		return nil, err
	}
	s, err := gocron.NewScheduler(gocron.WithDistributedLocker(adapter))
	if err != nil {
		return nil, err
	}
	return s, adapter.Attach(s)
}

func endAll(fleet []gocron.Scheduler, lockers []*redlock.Locker) {
	for _, s := range fleet {
		_ = s.Shutdown()
	}
	for _, l := range lockers {
		_ = l.Close(context.Background())
	}
}

func addJobs(tb testing.TB, s gocron.Scheduler, n int, definition func() gocron.JobDefinition, f func(), opts ...gocron.JobOption) {
	tb.Helper()
	for i := range n {
		if _, err := s.NewJob(definition(), gocron.NewTask(f), append(opts, gocron.WithName(fmt.Sprint("job ", i)))...); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkNewJob adds n jobs to a scheduler.
func BenchmarkNewJob(b *testing.B) {
	for _, jobs := range []int{100, 1_000, 10_000} {
		for _, schedule := range []string{"cron", "duration"} {
			for kind, fleet := range kinds() {
				b.Run(fmt.Sprintf("jobs=%d/%s/%s", jobs, schedule, kind), func(b *testing.B) {
					definition := func() gocron.JobDefinition { return gocron.DurationJob(time.Hour) }
					if schedule == "cron" {
						definition = func() gocron.JobDefinition { return gocron.CronJob("0 3 * * *", false) }
					}
					for b.Loop() {
						b.StopTimer()
						schedulers, end := fleet(b, 1)
						b.StartTimer()
						addJobs(b, schedulers[0], jobs, definition, func() {})
						b.StopTimer()
						end()
						b.StartTimer()
					}
					b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*jobs), "µs/job")
				})
			}
		}
	}
}

// BenchmarkFirstTick is the time from a tick that n jobs share until each of them
// has run on one of three replicas. gocron, beside it, runs each of them on all.
func BenchmarkFirstTick(b *testing.B) { benchFirstTick(b, onceAt) }

// BenchmarkFirstTick_cron has jobs with a crontab, of which gocron takes microseconds to find the next tick.
func BenchmarkFirstTick_cron(b *testing.B) { benchFirstTick(b, hourlyAt) }

func benchFirstTick(b *testing.B, definition func(at time.Time) gocron.JobDefinition) {
	for _, jobs := range []int{100, 1_000, 4_000, 10_000} {
		for kind, fleet := range kinds() {
			b.Run(fmt.Sprintf("jobs=%d/%s", jobs, kind), func(b *testing.B) {
				var took time.Duration
				for b.Loop() {
					d, err := firstTick(b, fleet, jobs, kind == "gocron", definition, nil)
					if err != nil {
						b.Fatal(err)
					}
					took += d
				}
				b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms/tick")
			})
		}
	}
}

func onceAt(at time.Time) gocron.JobDefinition {
	return gocron.OneTimeJob(gocron.OneTimeJobStartDateTime(at))
}

func hourlyAt(at time.Time) gocron.JobDefinition {
	return gocron.CronJob(fmt.Sprintf("%d %d * * * *", at.Second(), at.Minute()), true)
}

// BenchmarkFirstTick_anew has each job replaced by Update before that, and the schedulers stopped and started.
func BenchmarkFirstTick_anew(b *testing.B) {
	anew := func(tb testing.TB, s gocron.Scheduler, at time.Time, f func()) {
		for _, j := range s.Jobs() {
			if _, err := s.Update(j.ID(), onceAt(at), gocron.NewTask(f), gocron.WithName(j.Name())); err != nil {
				tb.Fatal(err)
			}
		}
		if err := s.StopJobs(); err != nil {
			tb.Fatal(err)
		}
		s.Start()
	}
	for kind, fleet := range kinds() {
		b.Run("jobs=4000/"+kind, func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				d, err := firstTick(b, fleet, 4000, kind == "gocron", onceAt, anew)
				if err != nil {
					b.Fatal(err)
				}
				took += d
			}
			b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms/tick")
		})
	}
}

func firstTick(tb testing.TB, fleet fleetOf, jobs int, onEach bool, definition func(at time.Time) gocron.JobDefinition, anew func(testing.TB, gocron.Scheduler, time.Time, func())) (time.Duration, error) {
	schedulers, end := fleet(tb, 3)
	defer end()
	var runs, last atomic.Int64
	at := time.Now().Add(time.Second + time.Duration(jobs)*300*time.Microsecond)
	if anew != nil {
		at = at.Add(time.Duration(jobs) * 900 * time.Microsecond)
	}
	at = at.Truncate(time.Second).Add(time.Second) // as crontabs need it
	want := int64(jobs)
	if onEach {
		want *= 3
	}
	run := func() {
		last.Store(int64(time.Since(at)))
		runs.Add(1)
	}
	for _, s := range schedulers {
		addJobs(tb, s, jobs, func() gocron.JobDefinition { return definition(at) }, run)
		s.Start()
		if anew != nil {
			anew(tb, s, at, run)
		}
	}
	if time.Now().After(at) {
		return 0, errors.New("the jobs were not added in time")
	}
	for deadline := at.Add(time.Minute); runs.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%d of %d runs within a minute", runs.Load(), want)
		}
	}
	took := time.Duration(last.Load())
	time.Sleep(200 * time.Millisecond)
	if n := runs.Load(); n != want {
		return 0, fmt.Errorf("%d runs, want %d", n, want)
	}
	return took, nil
}

// BenchmarkManyJobs is how many of the 10,000 runs a second of 1,000 jobs at 10 Hz come in the first second and in the third, on one
// replica, as in gocron's own test of that name.
func BenchmarkManyJobs(b *testing.B) {
	for kind, fleet := range kinds() {
		b.Run(kind, func(b *testing.B) {
			var first, third int64
			for b.Loop() {
				schedulers, end := fleet(b, 1)
				var runs atomic.Int64
				addJobs(b, schedulers[0], 1000, func() gocron.JobDefinition { return gocron.DurationJob(100 * time.Millisecond) },
					func() { runs.Add(1) }, gocron.WithStartAt(gocron.WithStartImmediately()))
				schedulers[0].Start()
				time.Sleep(time.Second)
				first += runs.Load()
				time.Sleep(time.Second)
				second := runs.Load()
				time.Sleep(time.Second)
				third += runs.Load() - second
				end()
			}
			b.ReportMetric(float64(first)/float64(b.N), "runs/first-s")
			b.ReportMetric(float64(third)/float64(b.N), "runs/third-s")
		})
	}
}
