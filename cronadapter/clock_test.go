package cronadapter_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/internal/adaptertest"
	"github.com/redtick/redtick/redlock"
)

// wallClock is a replica's clock that somebody sets.
type wallClock struct{ ahead atomic.Int64 }

func (c *wallClock) set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

func (c *wallClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Next returns the schedule's answer as seen on this clock.
func (c *wallClock) schedule(s cronadapter.Schedule) cronadapter.Schedule {
	return scheduleFunc(func(t time.Time) time.Time {
		ahead := time.Duration(c.ahead.Load())
		return s.Next(t.Add(ahead)).Add(-ahead)
	})
}

type scheduleFunc func(t time.Time) time.Time

func (f scheduleFunc) Next(t time.Time) time.Time { return f(t) }

// once is a schedule of one instant.
func once(at time.Time) scheduleFunc {
	return func(t time.Time) time.Time {
		if t.Before(at) {
			return at
		}
		return time.Time{}
	}
}

// A wrong clock is corrected, in either direction, while cron runs or is stopped. Then
// the first tick after now is run, and each one after that.
//
// Seen to fail when next kept only what comes after the newest tick that has come.
func TestJob_clock_is_set(t *testing.T) {
	const wrongFor, rightFor = 10*time.Minute + time.Second/2, 10 * time.Minute // the clock is not set at the instant of a tick
	for _, ahead := range []time.Duration{time.Hour, 8 * time.Hour, 90 * time.Second, -time.Hour, -8 * time.Hour} {
		for _, restart := range []bool{true, false} {
			for _, spec := range []string{"* * * * *", "@every 1m"} {
				t.Run(fmt.Sprintf("%s by %v, restart %v", spec, ahead, restart), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						travel(nights[0].noon)
						f, clock := newFleet(t, 1), &wallClock{}
						clock.set(ahead)
						r := f.replica("a", 0, cronadapter.WithClock(clock.now))
						job, err := r.a.NewJob("job", parse(t, spec), f.noting("a", "job", nothing), redlock.WithMaxSkew(24*time.Hour), redlock.WithRetention(24*time.Hour))
						if err != nil {
							t.Fatal(err)
						}
						r.Schedule(clock.schedule(job), job)
						r.Start()
						time.Sleep(wrongFor)
						if restart {
							<-r.Stop().Done()
						}
						clock.set(0)
						if !restart {
							time.Sleep(time.Minute) // cron waits for an instant of the old time
						}
						// The ticks that came while the clock was ahead are done, so the nodes must forget them.
						for _, s := range f.servers {
							s.Restart()
						}
						set := time.Now()
						if restart {
							r.Start()
						}
						time.Sleep(rightFor)
						leaveAll([]*replica{r})
						var ran []time.Time
						for _, run := range f.runs {
							if run.at.After(set) {
								ran = append(ran, run.tick)
							}
						}
						same(t, "job", ran, chain(t, "* * * * *", time.UTC, set, time.Now()))
					})
				})
			}
		}
	}
}

// A run that waits behind others is not affected when the clock is set back by less than
// an interval.
func TestJob_clock_is_set_back_meanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon)
		f, clock := newFleet(t, 1), &wallClock{}
		r := f.replica("a", 0, cronadapter.WithClock(clock.now))
		job, err := r.a.NewJob("job", parse(t, "* * * * *"), f.noting("a", "job", nothing))
		if err != nil {
			t.Fatal(err)
		}
		want := job.Next(time.Now())
		travel(want)
		job.Next(want)
		clock.set(-300 * time.Millisecond)
		time.Sleep(100 * time.Millisecond)
		job.Next(clock.now())
		job.Run()
		leaveAll([]*replica{r})
		same(t, "job", f.of("job"), []time.Time{want})
	})
}

// A clock that is set back by some milliseconds just when cron fires costs no tick.
//
// Seen to fail when only what has come by the clock was a tick.
func TestJob_clock_is_set_back_at_the_tick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon)
		f, clock := newFleet(t, 1), &wallClock{}
		r := f.replica("a", 0, cronadapter.WithClock(clock.now))
		r.addSpec("job", "* * * * *")
		r.Start()
		begin := time.Now()
		time.Sleep(10 * time.Minute)
		clock.set(-40 * time.Millisecond)
		time.Sleep(10 * time.Minute)
		leaveAll([]*replica{r})
		same(t, "job", f.of("job"), chain(t, "* * * * *", time.UTC, begin, time.Now()))
	})
}

// A schedule that follows the machine's time zone is warned of once, unless all
// zones give it the same instants or the machine is at UTC.
//
// Seen to fail without the warning, with one for each job, and when a TZ that Go cannot read passes for UTC.
func TestAdapter_warns_of_local_time(t *testing.T) {
	if !adaptertest.InOwnProcess(t) {
		return
	}
	cases := map[string]struct {
		tz    string
		specs []string
		warns int
	}{
		"hourly":             {"Europe/Berlin", []string{"0 * * * *"}, 1},
		"daily":              {"Europe/Berlin", []string{"30 9 * * *"}, 1},
		"several":            {"Europe/Berlin", []string{"30 9 * * *", "@daily"}, 1},
		"each minute":        {"Europe/Berlin", []string{"* * * * *", "*/5 * * * *", "@every 90s"}, 0},
		"zone in the spec":   {"Europe/Berlin", []string{"CRON_TZ=Europe/Berlin 30 9 * * *"}, 0},
		"machine is at UTC":  {"UTC", []string{"30 9 * * *"}, 0},
		"zone without a DST": {"Asia/Kolkata", []string{"0 * * * *"}, 1},
		"unreadable":         {"CET-1CEST", []string{"30 9 * * *", "@daily"}, 1},
	}
	for name, c := range cases {
		for _, form := range []string{"Add", "Wrap"} {
			t.Run(name+", "+form, func(t *testing.T) {
				t.Setenv("TZ", c.tz)
				time.Local = time.FixedZone("UTC", 0) // as Go has it when it cannot read TZ
				if zone, err := time.LoadLocation(c.tz); err == nil {
					time.Local = zone
				}
				synctest.Test(t, func(t *testing.T) {
					r := newFleet(t, 1).replica("a", 0)
					r.Cron = newLocalCron()
					for i, spec := range c.specs {
						if form == "Add" {
							must(t)(r.a.AddFunc(r.Cron, fmt.Sprint(i), spec, func() {}))
						} else {
							r.wrapFunc(fmt.Sprint(i), spec, func() {})
						}
					}
					r.Start()
					time.Sleep(25 * time.Hour)
					events := r.log.failures()
					r.leave()
					if len(events) != c.warns {
						t.Fatalf("warned %d times, want %d: %v", len(events), c.warns, events)
					}
					for _, e := range events {
						if e.Kind != cronadapter.Warning || !hasAll(e.Err.Error(), "CRON_TZ=", "cron.WithLocation") || e.Level() < 4 {
							t.Errorf("told %s %v", e.Kind, e.Err)
						}
					}
				})
			})
		}
	}
}
