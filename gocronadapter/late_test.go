package gocronadapter_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// refuseConnections makes the replica's nodes look down until they heal.
func (r *replica) refuseConnections() {
	for _, n := range r.locker.links {
		n.(*redlocktest.Node).Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
	}
}

// Redis is down at the tick of a daily job: the job runs late, once, in every mode, and again the next day.
//
// Seen to fail with WithLateness(0).
func TestLateness_daily(t *testing.T) {
	for name, m := range modes() {
		for _, outage := range []time.Duration{5 * time.Second, 30 * time.Second, 300 * time.Second} {
			t.Run(fmt.Sprint(name, " ", outage), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					log, servers := newLedger(), redlocktest.Servers(1)
					var fleet []*replica
					for i := range 3 {
						r := newReplica(t, lockerOn(t, servers, fmt.Sprint(i)), newClock(0), m.scheduler...)
						r.job(t, gocron.DailyJob(1, gocron.NewAtTimes(gocron.NewAtTime(12, 0, 0))), log.task("daily", time.Second),
							append(m.job, gocron.WithName("daily"))...)
						r.Start()
						fleet = append(fleet, r)
					}
					tick := time.Now().Truncate(24 * time.Hour).Add(12 * time.Hour)
					time.Sleep(time.Until(tick) - time.Second)
					for _, r := range fleet {
						r.refuseConnections()
					}
					time.Sleep(time.Second + outage)
					for _, r := range fleet {
						r.cut(false)
					}
					time.Sleep(24 * time.Hour)
					for _, r := range fleet {
						r.leave(t)
					}
					wantTicks(t, "daily", log.of("daily"), []time.Time{tick, tick.Add(24 * time.Hour)})
				})
			})
		}
	}
}

// A Lock that waits for a quorum ends with its job, and with the scheduler.
//
// Seen to fail when the claim has a context of its own.
func TestLateness_endsWithTheJob(t *testing.T) {
	for name, end := range map[string]func(r *replica, j gocron.Job) error{
		"RemoveJob": func(r *replica, j gocron.Job) error { return r.RemoveJob(j.ID()) },
		"StopJobs":  func(r *replica, _ gocron.Job) error { return r.StopJobs() },
		"Shutdown":  func(r *replica, _ gocron.Job) error { return r.Shutdown() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReplica(t, lockerOn(t, redlocktest.Servers(1), "a"), newClock(0))
				log := newLedger()
				j := r.job(t, gocron.CronJob("0 * * * *", false), log.task("hourly", time.Second), gocron.WithName("hourly"))
				r.Start()
				time.Sleep(time.Until(time.Now().Truncate(time.Hour).Add(time.Hour)) - time.Second)
				r.refuseConnections()
				time.Sleep(time.Minute)
				if r.adapter.runs.Load() != 1 {
					t.Fatal("it does not wait")
				}
				ended := make(chan error, 1)
				go func() { ended <- end(r, j) }()
				time.Sleep(time.Second)
				if r.adapter.runs.Load() != 0 {
					t.Error("it waits on")
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
				r.leave(t)
				wantTicks(t, "hourly", log.of("hourly"), nil)
			})
		})
	}
}

// Jobs are due again before the claim gives up on the nodes: gocron drops or queues the ticks that come meanwhile, and each is reported
// like the tick that was claimed. The runs take no time, because ticks that gocron drops during a run are not reported.
//
// Seen to fail, with 45 of 60 ticks not reported, when only the tick that Lock was called for is reported.
func TestLateness_droppedTicksAreTold(t *testing.T) {
	for name, m := range modes() {
		for spec, d := range map[string]struct {
			job  func() gocron.JobDefinition
			gap  time.Duration
			opts []gocron.JobOption
		}{
			"cron":  {everySecond, time.Second, nil},
			"10 Hz": {func() gocron.JobDefinition { return gocron.DurationJob(100 * time.Millisecond) }, 100 * time.Millisecond, []gocron.JobOption{gocronadapter.Aligned(100 * time.Millisecond)}},
		} {
			t.Run(name+" "+spec, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					told, uncertain := make(map[int64]bool), 0
					observer := redlock.WithObserver(func(e redlock.Event) {
						mu.Lock()
						defer mu.Unlock()
						if errors.Is(e.Err, gocronadapter.ErrNoTick) {
							n := 1
							_, _ = fmt.Sscanf(e.Err.Error(), gocronadapter.ErrNoTick.Error()+": %d ticks", &n)
							uncertain += n
						} else if e.Kind == redlock.Refused {
							told[e.Tick.UnixMilli()] = true
						}
					})
					log, start := newLedger(), time.Now()
					r := newSchedulerOn(t, lockerOn(t, redlocktest.Servers(1), "a", observer), gocronadapter.WithClock(newClock(0)),
						gocronadapter.WithJobOptions(redlock.WithSpread(0)), gocronadapter.WithSchedulerOptions(m.scheduler...))
					r.job(t, d.job(), log.task("job", 0), slices.Concat(m.job, d.opts, []gocron.JobOption{gocron.WithName("job")})...)
					r.Start()
					time.Sleep(10*time.Second + 50*time.Millisecond)
					r.refuseConnections()
					time.Sleep(time.Minute)
					r.cut(false)
					time.Sleep(20 * time.Second)
					leaveAll(t, []*replica{r})
					synctest.Wait()
					unknown := 0
					for tick := start.Add(d.gap); tick.Before(start.Add(90 * time.Second)); tick = tick.Add(d.gap) {
						if !told[tick.UnixMilli()] && !slices.ContainsFunc(log.of("job"), tick.Equal) {
							unknown++
						}
					}
					if unknown > uncertain {
						t.Errorf("nobody heard of %d ticks, or of some of %d", unknown, uncertain)
					}
				})
			})
		}
	}
}

// An outage in which each vote takes longer than the job's interval is logged when it begins and when it ends, not with each tick that
// gocron drops meanwhile.
//
// Seen to fail when such ticks are refused for a reason of their own: 261 lines in ten minutes.
func TestLateness_outage_in_few_lines(t *testing.T) {
	for name, m := range modes() {
		for spec, d := range map[string]gocron.JobDefinition{"cron": everySecond(), "10 Hz": gocron.DurationJob(100 * time.Millisecond)} {
			t.Run(name+" "+spec, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					var told []string
					observer := redlock.WithObserver(func(e redlock.Event) {
						mu.Lock()
						defer mu.Unlock()
						if e.Level() >= slog.LevelWarn {
							told = append(told, fmt.Sprint(e.Kind, ": ", e.Err))
						}
					})
					r := newSchedulerOn(t, lockerOn(t, redlocktest.Servers(1), "a", observer), gocronadapter.WithClock(newClock(0)),
						gocronadapter.WithSchedulerOptions(m.scheduler...))
					r.job(t, d, newLedger().task("job", 0), slices.Concat(m.job, []gocron.JobOption{gocron.WithName("job")})...)
					r.Start()
					time.Sleep(10*time.Second + 50*time.Millisecond)
					r.cut(true)
					time.Sleep(10 * time.Minute)
					r.cut(false)
					time.Sleep(20 * time.Second)
					leaveAll(t, []*replica{r})
					synctest.Wait()
					if len(told) > 10 {
						t.Errorf("%d warnings and errors, among them\n%s", len(told), strings.Join(told[:10], "\n"))
					}
				})
			})
		}
	}
}
