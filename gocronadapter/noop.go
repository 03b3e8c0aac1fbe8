package gocronadapter

import (
	"context"
	"errors"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"
)

// noListeners replaces the listeners of a job that is only examined.
func noListeners() gocron.JobOption {
	none := func(uuid.UUID, string) {}
	return gocron.WithEventListeners(
		gocron.BeforeJobRuns(none), gocron.AfterJobRuns(none),
		gocron.BeforeJobRunsSkipIfBeforeFuncErrors(func(uuid.UUID, string) error { return nil }),
		gocron.AfterJobRunsWithError(func(uuid.UUID, string, error) {}),
		gocron.AfterJobRunsWithPanic(func(uuid.UUID, string, any) {}),
		gocron.AfterLockError(func(uuid.UUID, string, error) {}),
	)
}

// refusingLocker is a gocron.Locker that grants nothing.
type refusingLocker func()

func (r refusingLocker) Lock(context.Context, string) (gocron.Lock, error) {
	r()
	return nil, errors.New("gocronadapter: examined only")
}

// noMonitor replaces the monitor of a scheduler that only examines jobs.
type noMonitor struct{}

func (noMonitor) SchedulerStarted()                                      {}
func (noMonitor) SchedulerStopped()                                      {}
func (noMonitor) SchedulerShutdown()                                     {}
func (noMonitor) JobRegistered(gocron.Job)                               {}
func (noMonitor) JobUnregistered(gocron.Job)                             {}
func (noMonitor) JobStarted(gocron.Job)                                  {}
func (noMonitor) JobRunning(gocron.Job)                                  {}
func (noMonitor) JobFailed(gocron.Job, error)                            {}
func (noMonitor) JobCompleted(gocron.Job)                                {}
func (noMonitor) JobExecutionTime(gocron.Job, time.Duration)             {}
func (noMonitor) JobSchedulingDelay(gocron.Job, time.Time, time.Time)    {}
func (noMonitor) ConcurrencyLimitReached(limitType string, j gocron.Job) {}

// noStatistics replaces the monitor that counts the runs of a scheduler's jobs.
type noStatistics struct{}

func (noStatistics) IncrementJob(uuid.UUID, string, []string, gocron.JobStatus)        {}
func (noStatistics) RecordJobTiming(_, _ time.Time, _ uuid.UUID, _ string, _ []string) {}
func (noStatistics) RecordJobTimingWithStatus(_, _ time.Time, _ uuid.UUID, _ string, _ []string, _ gocron.JobStatus, _ error) {
}

type noLogger struct{}

func (noLogger) Debug(string, ...any) {}
func (noLogger) Info(string, ...any)  {}
func (noLogger) Warn(string, ...any)  {}
func (noLogger) Error(string, ...any) {}
