package cronadapter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// catching starts n replicas of a job with these options, in New York.
func (f *fleet) catching(n int, generation, spec string, opts ...redlock.JobOption) (rs []*replica) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range n {
		r := f.replica(fmt.Sprint(generation, i), 0)
		r.Cron = cron.New(cron.WithLogger(cron.DiscardLogger), cron.WithLocation(zone))
		_, err := r.a.Add(r.Cron, "job", spec, f.noting(r.name, "job", func(context.Context) error { time.Sleep(time.Second); return nil }), opts...)
		if err != nil {
			f.t.Fatal(err)
		}
		r.Start()
		rs = append(rs, r)
	}
	return rs
}

func leaveQuietly(rs []*replica) {
	for _, r := range rs {
		r.leave()
	}
}

// All replicas were down for some time: when three of them start at once, the newest missed tick is run once, if it is not too
// old, and none on the first deployment.
//
// Seen to fail without lookBack, with a claim of every missed tick, and without asking which tick was granted last.
func TestCatchUp_allWereDown(t *testing.T) {
	for name, c := range map[string]struct {
		spec      string
		runFor    time.Duration // of the first fleet; 0: there was none
		downUntil time.Duration // after noon
		within    time.Duration
		want      []time.Duration // ticks after noon
		before    time.Duration   // noon, when the first fleet starts
	}{
		"nothing missed":             {"0 * * * *", 90 * time.Minute, 110 * time.Minute, time.Hour, []time.Duration{time.Hour}, 0},
		"one missed":                 {"0 * * * *", 90 * time.Minute, 130 * time.Minute, time.Hour, []time.Duration{time.Hour, 2 * time.Hour}, 0},
		"ten missed":                 {"0 * * * *", 90 * time.Minute, 710 * time.Minute, time.Hour, []time.Duration{time.Hour, 11 * time.Hour}, 0},
		"just in time":               {"0 */6 * * *", 7 * time.Hour, 14*time.Hour - time.Second, 2 * time.Hour, []time.Duration{6 * time.Hour, 12 * time.Hour}, 0},
		"just too late":              {"0 */6 * * *", 7 * time.Hour, 14*time.Hour + time.Second, 2 * time.Hour, []time.Duration{6 * time.Hour}, 0},
		"off":                        {"0 * * * *", 90 * time.Minute, 130 * time.Minute, 0, []time.Duration{time.Hour}, 0},
		"first deployment":           {"0 * * * *", 0, 130 * time.Minute, time.Hour, nil, 0},
		"down for 20 days":           {"0 18 * * *", 7 * time.Hour, 20 * 24 * time.Hour, 20 * time.Hour, []time.Duration{6 * time.Hour, 19*24*time.Hour + 5*time.Hour}, 0},
		"over the hour that is lost": {"30 2 * * *", 16 * time.Hour, 39 * time.Hour, 48 * time.Hour, []time.Duration{-9*time.Hour - 30*time.Minute, 37*time.Hour + 30*time.Minute}, 24 * time.Hour},
		"every 90 s":                 {"@every 90s", 100 * time.Second, 500 * time.Second, time.Minute, []time.Duration{90 * time.Second, 450 * time.Second}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				noon := nights[0].noon.Truncate(time.Minute) // in New York; the clocks go forward the night after
				travel(noon.Add(30*time.Second - c.before))
				f := newFleet(t, 1)
				if c.runFor > 0 {
					first := f.catching(2, "old", c.spec, redlock.WithCatchUp(c.within))
					time.Sleep(c.runFor)
					leaveQuietly(first)
				}
				time.Sleep(time.Until(noon.Add(c.downUntil)))
				second := f.catching(3, "new", c.spec, redlock.WithCatchUp(c.within))
				time.Sleep(5 * time.Second)
				leaveQuietly(second)
				var want []time.Time
				for _, d := range c.want {
					want = append(want, noon.Add(d))
				}
				same(t, "job", f.of("job"), want)
			})
		})
	}
}

// All replicas stop their crons for a while, as in a maintenance window.
//
// Seen to fail when only the first call of Next counted as a start.
func TestCatchUp_cronRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		noon := nights[0].noon.Truncate(time.Minute)
		travel(noon.Add(30 * time.Second))
		f := newFleet(t, 1)
		rs := f.catching(3, "", "0 * * * *", redlock.WithCatchUp(time.Hour))
		time.Sleep(90 * time.Minute)
		for _, r := range rs {
			<-r.Cron.Stop().Done()
		}
		time.Sleep(2*time.Hour + 10*time.Minute)
		for _, r := range rs {
			r.Start()
		}
		time.Sleep(10 * time.Minute)
		leaveQuietly(rs)
		same(t, "job", f.of("job"), []time.Time{noon.Add(time.Hour), noon.Add(3 * time.Hour)})
	})
}

// A pause during which ticks come: when it ends, the newest is run once, if it is not too old. Earlier ones are skipped.
//
// Seen to fail when a refusal does not look back.
func TestCatchUp_paused(t *testing.T) {
	for within, want := range map[time.Duration][]int{time.Hour: {1, 4, 5}, 20 * time.Minute: {1, 5}} {
		t.Run(fmt.Sprint(within), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				travel(nights[0].noon)
				noon, f := nights[0].noon.Truncate(time.Minute), newFleet(t, 3)
				rs := f.catching(3, "", "0 * * * *", redlock.WithCatchUp(within))
				ops, err := inspect.New(redlocktest.Nodes(f.servers, "ops"))
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Minute)
				if err := ops.Pause(t.Context(), "job", inspect.Pause{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Hour)
				if err := ops.Resume(t.Context(), "job"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Minute)
				leaveQuietly(rs)
				var ticks []time.Time
				for _, h := range want {
					ticks = append(ticks, noon.Add(time.Duration(h)*time.Hour))
				}
				same(t, "job", f.of("job"), ticks)
			})
		})
	}
}

// A tick within WithCatchUp is run after an outage that was too long for WithLateness.
func TestCatchUp_outage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon)
		noon, f := nights[0].noon.Truncate(time.Minute), newFleet(t, 1)
		rs := f.catching(3, "", "0 * * * *", redlock.WithCatchUp(time.Hour))
		time.Sleep(119 * time.Minute)
		back := down(rs...)
		time.Sleep(31 * time.Minute)
		back()
		time.Sleep(40 * time.Minute)
		leaveQuietly(rs)
		same(t, "job", f.of("job"), []time.Time{noon.Add(time.Hour), noon.Add(2 * time.Hour), noon.Add(3 * time.Hour)})
	})
}

// A catch-up goes through the cron's chain.
func TestCatchUp_chain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon)
		noon, f := nights[0].noon.Truncate(time.Minute), newFleet(t, 1)
		leave := func(name string) {
			r := f.replica(name, 0)
			r.Cron = cron.New(cron.WithChain(cron.Recover(cron.DiscardLogger)))
			_, err := r.a.Add(r.Cron, "job", "0 * * * *", f.noting(name, "job", func(context.Context) error { panic("recovered") }), redlock.WithCatchUp(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			r.Start()
			time.Sleep(61 * time.Minute)
			r.leave()
		}
		leave("a")
		time.Sleep(time.Hour)
		leave("b")
		same(t, "job", f.of("job"), []time.Time{noon.Add(time.Hour), noon.Add(2 * time.Hour), noon.Add(3 * time.Hour)})
	})
}

func TestCatchUp_refused(t *testing.T) {
	f := newFleet(t, 1)
	r := f.replica("a", 0, cronadapter.WithoutAlignment())
	_, unaligned := r.a.Add(r.Cron, "one", "@every 10s", func(context.Context) error { return nil }, redlock.WithCatchUp(time.Hour))
	_, wrapped := r.a.Wrap("two", redlock.WithCatchUp(time.Hour))
	for _, err := range []error{unaligned, wrapped} {
		if !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), "WithCatchUp") {
			t.Errorf("%v", err)
		}
	}
	if !slices.Contains([]error{nil}, r.locker.Close(context.Background())) {
		t.Error("not closed")
	}
}

// A process that only lists coming runs, and does not start its cron, runs neither missed ticks nor triggers. Once it does start its
// cron it catches up.
//
// Seen to fail, with a run of each, when the first call of Next counts as the start.
func TestCatchUp_notStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon.Truncate(time.Hour).Add(30 * time.Minute))
		begin, f := time.Now(), newFleet(t, 1)
		rs := f.catching(1, "old", "0 * * * *", redlock.WithCatchUp(3*time.Hour))
		travel(begin.Add(time.Hour))
		leaveAll(rs)
		travel(begin.Add(2 * time.Hour))
		r := f.replica("new", 0, cronadapter.WithTriggers())
		must(t)(r.a.Add(r.Cron, "job", "0 * * * *", f.noting("new", "job", func(context.Context) error { return nil }), redlock.WithCatchUp(3*time.Hour)))
		r.Entries()[0].Schedule.Next(time.Now())
		time.Sleep(time.Minute)
		if _, err := f.ops().Trigger(t.Context(), "job", "ann"); err == nil {
			t.Error("a trigger began a run")
		}
		r.Entries()[0].Schedule.Next(time.Now())
		time.Sleep(time.Minute)
		same(t, "before the start", f.of("job"), []time.Time{begin.Add(30 * time.Minute).UTC()})
		r.Start()
		time.Sleep(time.Minute)
		leaveAll([]*replica{r})
		same(t, "after it", f.of("job"), []time.Time{begin.Add(30 * time.Minute).UTC(), begin.Add(90 * time.Minute).UTC()})
	})
}
