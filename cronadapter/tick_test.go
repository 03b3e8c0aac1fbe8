package cronadapter_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/redlock"
)

// Specs that activate so often that a window of hours is enough, every few
// hours, and every few months.
var (
	dense  = []string{"* * * * *", "*/5 * * * *", "7,37 * * * *", "*/20 * * * * *", "5 */3 * * * *", "59 59 * * * *", "@hourly"}
	daily  = []string{"0 0 * * *", "30 0 * * *", "30 1 * * *", "30 2 * * *", "0 3 * * *", "15 45 1 * * *", "0 0-3 * * 0", "@daily", "@midnight", "@weekly", "0 12 * * 1-5", "CRON_TZ=Asia/Kathmandu 45 5 * * *", "TZ=America/New_York 30 1 * * *", "TZ=Europe/Berlin 30 2 * * *"}
	sparse = []string{"@monthly", "@yearly", "0 0 31 * *", "0 0 30 * *", "0 6 29 2 *", "59 23 28-31 * *", "0 0 1 1 *", "CRON_TZ=America/Sao_Paulo 0 0 1-7 11 *"}
)

// The tick of a run is an instant of robfig/cron's schedule, for Add and Wrap, through
// changed clocks (Lord Howe's by half an hour, São Paulo's at midnight), month
// ends and leap years.
func TestJob_ticks_are_robfigs(t *testing.T) {
	windows := []struct {
		zone   string
		from   time.Time
		length time.Duration
		specs  []string
	}{
		{"America/New_York", time.Date(2026, 3, 8, 4, 59, 59, 0, time.UTC), 4 * time.Hour, dense},
		{"America/New_York", time.Date(2026, 11, 1, 3, 59, 59, 0, time.UTC), 5 * time.Hour, dense},
		{"Europe/Berlin", time.Date(2026, 3, 28, 23, 0, 1, 0, time.UTC), 4 * time.Hour, dense},
		{"Europe/Berlin", time.Date(2026, 10, 24, 22, 0, 1, 0, time.UTC), 5 * time.Hour, dense},
		{"Australia/Lord_Howe", time.Date(2026, 4, 4, 13, 0, 1, 0, time.UTC), 4 * time.Hour, dense},
		{"America/New_York", time.Date(2026, 3, 1, 0, 0, 1, 0, time.UTC), 14 * 24 * time.Hour, daily},
		{"America/New_York", time.Date(2026, 10, 25, 0, 0, 1, 0, time.UTC), 14 * 24 * time.Hour, daily},
		{"Europe/Berlin", time.Date(2026, 3, 20, 0, 0, 1, 0, time.UTC), 14 * 24 * time.Hour, daily},
		{"Europe/Berlin", time.Date(2026, 10, 20, 0, 0, 1, 0, time.UTC), 14 * 24 * time.Hour, daily},
		{"Australia/Lord_Howe", time.Date(2026, 10, 1, 0, 0, 1, 0, time.UTC), 14 * 24 * time.Hour, daily},
		{"Australia/Lord_Howe", time.Date(2026, 4, 3, 13, 30, 1, 0, time.UTC), 14 * 24 * time.Hour, []string{"0 0 * * *", "CRON_TZ=Australia/Lord_Howe 0 0 * * *"}},
		{"America/Sao_Paulo", time.Date(2018, 11, 1, 0, 0, 1, 0, time.UTC), 14 * 24 * time.Hour, daily},
		{"UTC", time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC), 4 * 366 * 24 * time.Hour, sparse},
		{"America/Sao_Paulo", time.Date(2015, 1, 1, 0, 0, 1, 0, time.UTC), 4 * 366 * 24 * time.Hour, sparse},
		{"America/New_York", time.Date(2027, 1, 1, 0, 0, 1, 0, time.UTC), 4 * 366 * 24 * time.Hour, sparse},
	}
	for _, w := range windows {
		t.Run(fmt.Sprint(w.zone, " ", w.from.Format("2006-01"), " ", w.length), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				travel(w.from)
				f := newFleet(t, 1)
				added, wrapped := f.replica("added", 0), f.replica("wrapped", 0)
				loc := zone(t, w.zone)
				for _, r := range []*replica{added, wrapped} {
					r.Cron = cron.New(cron.WithLocation(loc), cron.WithParser(anyFields), cron.WithLogger(cron.DiscardLogger))
				}
				for _, spec := range w.specs {
					added.addSpec("add "+spec, spec)
					wrapped.wrapSpec("wrap "+spec, spec)
				}
				added.Start()
				wrapped.Start()
				end := w.from.Add(w.length)
				travel(end.Add(time.Second / 2))
				leaveAll([]*replica{added, wrapped})
				compared := 0
				for _, spec := range w.specs {
					want := chain(t, spec, loc, w.from, end)
					same(t, "Add "+spec, f.of("add "+spec), want)
					same(t, "Wrap "+spec, f.of("wrap "+spec), want)
					compared += 2 * len(want)
				}
				t.Logf("%d ticks compared", compared)
			})
		})
	}
}

var anyFields = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

func nothing(context.Context) error { return nil }

// addSpec adds through the call that parses the spec itself.
func (r *replica) addSpec(job, spec string) {
	r.f.t.Helper()
	must(r.f.t)(r.a.Add(r.Cron, job, spec, r.f.noting(r.name, job, nothing)))
}

// wrapSpec adds a plain job under a wrapper. It has no context, so the tick is
// read from the lock's token.
func (r *replica) wrapSpec(job, spec string) {
	r.f.t.Helper()
	plain := cron.FuncJob(func() { r.f.note(r.name, job, r.f.claimed(job)) })
	must(r.f.t)(r.AddJob(spec, cron.NewChain(r.wrap(job), cron.Recover(cron.DiscardLogger)).Then(plain)))
}

// Late wake-ups: a stalled scheduler fires once, for the instant it was waiting
// for, and that is what is claimed. The ticks it slept through are another
// replica's, or nobody's.
//
// Seen to fail with the newest instant of the schedule, or the present one, as the tick.
func TestJob_late_run_claims_its_instant(t *testing.T) {
	for name, alone := range map[string]bool{"alone": true, "beside another replica": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				f := newFleet(t, 3)
				sleepy := f.replica("sleepy", 0)
				stall := &stall{at: begin.Add(3 * time.Minute), length: 150 * time.Second}
				schedule := parse(t, "* * * * *")
				sleepy.schedule("job", schedule, nothing)
				sleepy.Schedule(stall, cron.FuncJob(func() {}))
				sleepy.Start()
				fleet := []*replica{sleepy}
				if !alone {
					time.Sleep(10 * time.Millisecond)
					other := f.replica("other", -10*time.Millisecond)
					other.schedule("job", schedule, nothing)
					other.Start()
					fleet = append(fleet, other)
				}
				travel(begin.Add(10*time.Minute + time.Second))
				leaveAll(fleet)
				var want []time.Time
				for m := 1; m <= 10; m++ {
					// Held up from 3:00 to 5:30, it fires at 6:30 for 4:00, and never for 5:00 and 6:00.
					if !alone || m != 5 && m != 6 {
						want = append(want, begin.Add(time.Duration(m)*time.Minute))
					}
				}
				same(t, "job", f.of("job"), want)
				for _, r := range f.runs {
					if wantLate := alone && r.tick.Equal(begin.Add(4*time.Minute)); (r.at.Sub(r.tick) > time.Minute) != wantLate {
						t.Errorf("tick %v ran %v late on %s", r.tick, r.at.Sub(r.tick), r.replica)
					}
				}
			})
		})
	}
}

// stall is a schedule that holds cron up, as a frozen process does.
type stall struct {
	at     time.Time
	length time.Duration
}

func (s *stall) Next(t time.Time) time.Time {
	if t.Before(s.at) {
		return s.at
	}
	if t.Equal(s.at) {
		time.Sleep(s.length)
	}
	return time.Time{}
}

// cron fires a job before it asks for the activation that follows, so the job
// may be first.
//
// Seen to fail when only Next looked at the time.
func TestJob_runs_before_its_cron_asks_on(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon)
		f := newFleet(t, 1)
		r := f.replica("a", 0)
		begin, end := time.Now(), time.Now().Add(time.Hour+5*time.Second)
		r.schedule("job", slow{parse(t, "* * * * *")}, nothing)
		r.Start()
		travel(end)
		leaveAll([]*replica{r})
		same(t, "job", f.of("job"), chain(t, "* * * * *", time.UTC, begin, end))
	})
}

// slow is a schedule whose Next takes a second.
type slow struct{ cron.Schedule }

func (s slow) Next(t time.Time) time.Time {
	time.Sleep(time.Second)
	return s.Schedule.Next(t)
}

// Anyone may call Entry.Schedule.Next; a list of coming runs must not change the ticks.
//
// Seen to fail with the newest answer, or the one before it, as the tick.
func TestJob_Next_may_be_asked_by_others(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon)
		f := newFleet(t, 1)
		r := f.replica("a", 0)
		for _, spec := range []string{"* * * * *", "@every 2m"} {
			r.addSpec(spec, spec)
		}
		r.Start()
		begin, end := time.Now(), time.Now().Add(time.Hour)
		for time.Now().Before(end) {
			for _, e := range r.Entries() {
				for next, n := time.Now(), 0; n < 200; n++ {
					next = e.Schedule.Next(next)
				}
				e.Schedule.Next(time.Now().Add(-2 * time.Hour))
			}
			time.Sleep(7 * time.Second)
		}
		leaveAll([]*replica{r})
		want := chain(t, "* * * * *", time.UTC, begin, end)
		same(t, "minute", f.of("* * * * *"), want)
		same(t, "every", f.of("@every 2m"), chain(t, "*/2 * * * *", time.UTC, begin, end))
	})
}

// A list of coming runs may ask in another time zone than cron: neither a run that its chain delays nor one that catches up takes an
// instant of that zone.
//
// Seen to fail, with a tick at nine o'clock UTC in both cases, when the schedule is asked in the caller's zone.
func TestJob_Next_may_be_asked_in_another_zone(t *testing.T) {
	for name, outage := range map[string]bool{"delayed": false, "caught up": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				travel(nights[0].noon.Truncate(24 * time.Hour))
				f, berlin := newFleet(t, 1), zone(t, "Europe/Berlin")
				r := f.replica("a", 0)
				delay := func(job cron.Job) cron.Job {
					return cron.FuncJob(func() {
						if !outage {
							time.Sleep(2 * time.Hour)
						}
						job.Run()
					})
				}
				r.Cron = cron.New(cron.WithLocation(berlin), cron.WithChain(delay))
				must(t)(r.a.Add(r.Cron, "job", "0 9 * * *", f.noting("a", "job", func(context.Context) error { return nil }), redlock.WithCatchUp(24*time.Hour)))
				r.Start()
				begin := time.Now()
				travel(begin.Add(32*time.Hour - time.Minute)) // 8:59 in Berlin
				back := func() {}
				if outage {
					back = down(r)
				}
				for range 90 {
					r.Entries()[0].Schedule.Next(time.Now().UTC())
					time.Sleep(time.Minute)
				}
				back()
				time.Sleep(10 * time.Hour)
				leaveQuietly([]*replica{r}) // the outage is told
				same(t, "job", f.of("job"), chain(t, "0 9 * * *", berlin, begin, time.Now()))
			})
		})
	}
}

// A cron may be stopped and started again; ticks in between are not run.
func TestJob_cron_restarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon)
		begin := time.Now()
		f := newFleet(t, 1)
		r := f.replica("a", 0)
		r.add("job", "* * * * *", time.Second)
		r.wrapSpec("wrapped", "* * * * *")
		var want []time.Time
		for range 3 {
			r.Start()
			from := time.Now()
			time.Sleep(5 * time.Minute)
			want = append(want, chain(t, "* * * * *", time.UTC, from, time.Now())...)
			<-r.Stop().Done()
			time.Sleep(5 * time.Minute)
		}
		leaveAll([]*replica{r})
		same(t, "job", f.of("job"), want)
		same(t, "wrapped", f.of("wrapped"), want)
		if len(want) != 15 || !want[0].After(begin) {
			t.Errorf("%d ticks, want 15", len(want))
		}
	})
}

// delayIfStillRunning is cron's, with a channel for its mutex: a bubble's clock
// stands still while somebody waits for a mutex.
func delayIfStillRunning(j cron.Job) cron.Job {
	free := make(chan struct{}, 1)
	return cron.FuncJob(func() {
		free <- struct{}{}
		defer func() { <-free }()
		j.Run()
	})
}

// In a chain that lets runs wait, they collapse into the newest tick, and none
// runs without one.
func TestJob_behind_DelayIfStillRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon)
		f := newFleet(t, 1)
		r := f.replica("a", 0)
		begin := time.Now().Add(30 * time.Second)
		r.Cron = cron.New(cron.WithChain(delayIfStillRunning), cron.WithLocation(time.UTC))
		long := func(ctx context.Context) error {
			if tick, _ := redlock.TickFrom(ctx); tick.Equal(begin) {
				time.Sleep(150 * time.Second)
			}
			return nil
		}
		must(t)(r.a.Add(r.Cron, "job", "* * * * *", f.noting("a", "job", long)))
		r.Start()
		travel(begin.Add(4*time.Minute + time.Second))
		leaveAll([]*replica{r})
		minute := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Minute) }
		same(t, "job", f.of("job"), []time.Time{minute(0), minute(2), minute(3), minute(4)})
	})
}
