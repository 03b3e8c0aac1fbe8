package gocronadapter_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// slowMonitor keeps gocron busy for a time when a job is removed.
type slowMonitor struct {
	gocron.SchedulerMonitor
	takes time.Duration
}

func (m slowMonitor) JobUnregistered(gocron.Job)                             { time.Sleep(m.takes) }
func (slowMonitor) SchedulerStarted()                                        {}
func (slowMonitor) SchedulerStopped()                                        {}
func (slowMonitor) SchedulerShutdown()                                       {}
func (slowMonitor) JobRegistered(gocron.Job)                                 {}
func (slowMonitor) JobStarted(gocron.Job)                                    {}
func (slowMonitor) JobRunning(gocron.Job)                                    {}
func (slowMonitor) JobFailed(gocron.Job, error)                              {}
func (slowMonitor) JobCompleted(gocron.Job)                                  {}
func (slowMonitor) JobExecutionTime(gocron.Job, time.Duration)               {}
func (slowMonitor) JobSchedulingDelay(gocron.Job, time.Time, time.Time)      {}
func (slowMonitor) ConcurrencyLimitReached(limitType string, job gocron.Job) {}

// A gocron that is busy when a run begins has not planned the next tick when the adapter looks, as if the interval counted from the
// end of the run. Then the first rest costs the tick after it, and no more.
//
// Seen to fail without relearn: nearly half of the jobs lose every other tick.
func TestLocker_busyWhenItLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jobs, interval = 12, 10 * time.Second
		time.Sleep(time.Second) // no tick is due at the start
		log, locker := newLedger(), lockerOn(t, redlocktest.Servers(1), "a")
		locker.links[0].(*redlocktest.Node).Delay(20*time.Millisecond, 20*time.Millisecond)
		r := newSchedulerOn(t, locker, gocronadapter.WithClock(newClock(0)), gocronadapter.WithJobOptions(redlock.WithSpread(0)),
			gocronadapter.WithSchedulerOptions(gocron.WithSchedulerMonitor(slowMonitor{takes: 300 * time.Millisecond})))
		for i := range jobs {
			name := fmt.Sprint("job ", i)
			r.job(t, gocron.DurationJob(interval), log.task(name, interval/2), gocron.WithName(name), gocronadapter.Aligned(interval))
		}
		other := r.job(t, gocron.DurationJob(time.Hour), log.task("other", 0), gocron.WithName("other"))
		r.Start()
		time.Sleep(time.Until(time.Now().Truncate(interval).Add(interval + 10*time.Millisecond)))
		if err := r.RemoveJob(other.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * interval)
		leaveAll(t, []*replica{r})
		lost := 0
		for i := range jobs {
			switch n := len(log.of(fmt.Sprint("job ", i))); n {
			case 11:
			case 10:
				lost++
			default:
				t.Errorf("job %d ran %d times of 11", i, n)
			}
		}
		if lost == 0 {
			t.Error("no look came too early")
		}
	})
}
