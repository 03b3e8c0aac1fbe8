package gocronadapter_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// Listeners of gocron.WithGlobalJobOptions are called, as without this package.
//
// Seen to fail without ifUnset.
func TestNewScheduler_global_listeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended, failed atomic.Int32
		l, s := newScheduler(t, gocronadapter.WithSchedulerOptions(gocron.WithGlobalJobOptions(gocron.WithEventListeners(
			gocron.AfterJobRuns(func(uuid.UUID, string) { ended.Add(1) }),
			gocron.AfterJobRunsWithError(func(uuid.UUID, string, error) { failed.Add(1) })))))
		mustJob(t, s, gocron.NewTask(func() {}), gocron.WithName("ends"))
		mustJob(t, s, gocron.NewTask(func() error { return errors.New("no") }), gocron.WithName("fails"))
		s.Start()
		time.Sleep(3500 * time.Millisecond)
		if ended.Load() != 3 || failed.Load() != 3 {
			t.Errorf("%d runs ended and %d failed, want 3 each", ended.Load(), failed.Load())
		}
		closeAll(t, l, s)
	})
}

// statistics counts the runs that gocron reports to its monitors.
type statistics struct{ counted, timed, timedStatus atomic.Int32 }

func (s *statistics) IncrementJob(uuid.UUID, string, []string, gocron.JobStatus) { s.counted.Add(1) }

func (s *statistics) RecordJobTiming(_, _ time.Time, _ uuid.UUID, _ string, _ []string) {
	s.timed.Add(1)
}

func (s *statistics) RecordJobTimingWithStatus(_, _ time.Time, _ uuid.UUID, _ string, _ []string, _ gocron.JobStatus, _ error) {
	s.timedStatus.Add(1)
}

// The runs by which this package examines a job's options do not reach the user's monitors.
//
// Seen to fail when the monitors are not replaced: a skipped run for each locked job, and a successful one for each other job.
func TestNewScheduler_examined_jobs_are_not_counted(t *testing.T) {
	for name, disabled := range map[string]bool{"locked": false, "not locked": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				servers, log, counts := redlocktest.Servers(1), newLedger(), &statistics{}
				hourly := func() gocron.JobDefinition { return gocron.CronJob("0 * * * *", false) }
				old := catching(t, servers, log, 1, "old", mode{}, hourly, redlock.WithCatchUp(time.Hour))
				time.Sleep(90 * time.Minute)
				leaveAll(t, old)
				time.Sleep(time.Hour) // a tick is missed
				m := mode{[]gocron.SchedulerOption{gocron.WithMonitor(counts), gocron.WithMonitorStatus(counts)}, []gocron.JobOption{gocron.WithDisabledDistributedJobLocker(disabled)}}
				r := catching(t, servers, log, 1, "new", m, hourly, redlock.WithCatchUp(time.Hour))
				time.Sleep(time.Minute)
				want := int32(1) // the run of what was missed
				if disabled {
					want = 0
				}
				if counts.counted.Load() != want || counts.timed.Load() != want || counts.timedStatus.Load() != want {
					t.Errorf("%d runs were counted, %d and %d timed, want %d", counts.counted.Load(), counts.timed.Load(), counts.timedStatus.Load(), want)
				}
				leaveAll(t, r)
			})
		})
	}
}

type otherLocker struct{ asked atomic.Int32 }

type otherLock struct{}

func (otherLock) Unlock(context.Context) error { return nil }

func (l *otherLocker) Lock(context.Context, string) (gocron.Lock, error) {
	l.asked.Add(1)
	return otherLock{}, nil
}

// A job with a locker of its own is locked by that locker, and may have any name.
//
// Seen to fail when noteLocker finds nothing.
func TestNewScheduler_locker_of_its_own(t *testing.T) {
	for name, global := range map[string]bool{"job": false, "all jobs": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				own := &otherLocker{}
				theirs := []gocron.JobOption{gocron.WithDistributedJobLocker(own)}
				var opts []gocronadapter.Option
				if global {
					opts, theirs = append(opts, gocronadapter.WithSchedulerOptions(gocron.WithGlobalJobOptions(theirs...))), nil
				}
				l, s := newScheduler(t, opts...)
				mustJob(t, s, gocron.NewTask(func() {}), append(theirs, gocron.WithName("x"))...)
				mustJob(t, s, gocron.NewTask(func() {}), append(theirs, gocron.WithName("x"))...)
				mustJob(t, s, gocron.NewTask(func() {}), theirs...)
				s.Start()
				time.Sleep(2500 * time.Millisecond)
				if own.asked.Load() != 6 {
					t.Errorf("the job's own locker was asked %d times, want 6", own.asked.Load())
				}
				closeAll(t, l, s)
			})
		})
	}
}
