package gocron_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func init() {
	if os.Getenv("PLAIN") == "" {
		gocron.SchedulerUnderTest = newScheduler
	}
}

// newScheduler makes a scheduler of gocronadapter with nodes of its own.
func newScheduler(opts ...gocron.SchedulerOption) (gocron.Scheduler, error) {
	clock, err := gocron.ClockOf(opts)
	if err != nil {
		return nil, err
	}
	servers := redlocktest.Servers(1)
	node := servers[0].Node("test")
	node.OnBatch(func([]driver.Command) (none redlocktest.Fault) {
		servers[0].SetClock(time.Until(clock.Now()), 1) // some tests are in the year 2000, or skip weeks
		return none
	})
	locker, err := redlock.New([]driver.Node{node})
	if err != nil {
		return nil, err
	}
	s, err := gocronadapter.NewScheduler(locker, gocronadapter.WithSchedulerOptions(opts...), gocronadapter.WithClock(clock),
		gocronadapter.WithJobOptions(redlock.WithSpread(0))) // some tests want a run within 10 ms of its tick
	if err != nil {
		return nil, err
	}
	return scheduler{s, locker}, nil
}

// scheduler closes its Locker, and names the jobs that the tests do not: gocron names them after functions without a name, which
// gocronadapter refuses.
type scheduler struct {
	gocron.Scheduler
	locker *redlock.Locker
}

var jobs atomic.Int64

func named(opts []gocron.JobOption) []gocron.JobOption {
	return append([]gocron.JobOption{gocron.WithName(fmt.Sprint("job ", jobs.Add(1)))}, opts...)
}

func (s scheduler) NewJob(d gocron.JobDefinition, t gocron.Task, opts ...gocron.JobOption) (gocron.Job, error) {
	return s.Scheduler.NewJob(d, t, named(opts)...)
}

func (s scheduler) Update(id uuid.UUID, d gocron.JobDefinition, t gocron.Task, opts ...gocron.JobOption) (gocron.Job, error) {
	return s.Scheduler.Update(id, d, t, named(opts)...)
}

func (s scheduler) Shutdown() error {
	return s.closed(s.Scheduler.Shutdown())
}

func (s scheduler) ShutdownWithContext(ctx context.Context) error {
	return s.closed(s.Scheduler.ShutdownWithContext(ctx))
}

func (s scheduler) closed(err error) error {
	if closed := s.locker.Close(context.Background()); closed != nil {
		return errors.Join(err, closed)
	}
	return err // as it is, because the tests compare it
}
