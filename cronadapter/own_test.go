package cronadapter_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
)

// fromStart counts from when it was made.
type fromStart struct {
	start time.Time
	every time.Duration
}

func (s fromStart) Next(t time.Time) time.Time {
	return s.start.Add((t.Sub(s.start)/s.every + 1) * s.every)
}

// fromNow counts from when it is asked, as "@every" does under another name.
type fromNow time.Duration

func (d fromNow) Next(t time.Time) time.Time { return t.Add(time.Duration(d)) }

// forksEvery is how forks spell robfig's type.
type forksEvery struct{ Delay time.Duration }

func (s forksEvery) Next(t time.Time) time.Time { return cron.Every(s.Delay).Next(t) }

// shaky is about every ten seconds.
type shaky struct{ *rand.Rand }

func (s shaky) Next(t time.Time) time.Time {
	return t.Add(9500*time.Millisecond + time.Duration(s.IntN(1000))*time.Millisecond)
}

// Three replicas start three seconds apart, with schedules that differ between replicas:
// there is one run per interval, not one on each.
//
// Seen to fail when only robfig's ConstantDelaySchedule was treated as "@every",
// and when other schedules had no spacing.
func TestSchedule_instants_of_its_own(t *testing.T) {
	schedules := map[string]func(i int) cron.Schedule{
		"from the start": func(int) cron.Schedule { return fromStart{time.Now(), 10 * time.Second} },
		"from a fraction": func(i int) cron.Schedule {
			return fromStart{time.Now().Add(time.Duration(i) * 250 * time.Millisecond), 10 * time.Second}
		},
		"from when it is asked":  func(int) cron.Schedule { return fromNow(10 * time.Second) },
		"a fork's @every":        func(int) cron.Schedule { return forksEvery{10 * time.Second} },
		"robfig's @every":        func(int) cron.Schedule { return cron.Every(10 * time.Second) },
		"about every 10 s":       func(i int) cron.Schedule { return shaky{rand.New(rand.NewPCG(1, uint64(i)))} },
		"a spec, for comparison": func(int) cron.Schedule { s, _ := cron.ParseStandard("@every 10s"); return s },
	}
	for name, schedule := range schedules {
		for _, form := range []string{"NewJob", "NewJob, not aligned", "Wrap"} {
			t.Run(name+", "+form, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, 1)
					var fleet []*replica
					for i := range 3 {
						var opts []cronadapter.Option
						if form == "NewJob, not aligned" {
							opts = append(opts, cronadapter.WithoutAlignment())
						}
						r := f.replica(string(rune('a'+i)), 0, opts...)
						if form == "Wrap" {
							plain := cron.FuncJob(func() { f.note(r.name, "job", f.claimed("job")) })
							r.Schedule(schedule(i), cron.NewChain(r.wrap("job")).Then(plain))
						} else {
							r.schedule("job", schedule(i), nothing)
						}
						r.Start()
						fleet = append(fleet, r)
						time.Sleep(3 * time.Second)
					}
					time.Sleep(10*time.Minute - 9*time.Second)
					leaveAll(fleet)
					// A shaky schedule is refused more often than an even one.
					if got := len(f.of("job")); got > 61 || got < 59 && name != "about every 10 s" || got < 45 {
						t.Errorf("%d runs in 10 minutes, want 60", got)
					}
				})
			})
		}
	}
}

// minutes is a custom schedule that has the same ticks on all replicas, but not at equal
// intervals.
type minutes []int

func (m minutes) Next(t time.Time) time.Time {
	for t = t.Truncate(time.Minute).Add(time.Minute); !slices.Contains(m, t.Minute()); t = t.Add(time.Minute) {
	}
	return t
}

// The adapter cannot know that all replicas have the same ticks, so it spaces them, by the
// time since the previous tick. That refuses nothing.
//
// Seen to fail with the time between the first two ticks as the spacing.
func TestSchedule_uneven(t *testing.T) {
	for _, form := range []string{"NewJob", "Wrap"} {
		t.Run(form, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				travel(nights[0].noon.Truncate(time.Hour).Add(59 * time.Minute))
				f := newFleet(t, 1)
				var fleet []*replica
				for i := range 3 {
					r := f.replica(string(rune('a'+i)), 0)
					schedule := minutes{0, 20, 40, 41, 44}
					if form == "Wrap" {
						plain := cron.FuncJob(func() { f.note(r.name, "job", f.claimed("job")) })
						r.Schedule(schedule, cron.NewChain(r.wrap("job")).Then(plain))
					} else {
						r.schedule("job", schedule, nothing)
					}
					r.Start()
					fleet = append(fleet, r)
				}
				begin := time.Now()
				time.Sleep(24 * time.Hour)
				leaveAll(fleet)
				same(t, "job", f.of("job"), chain(t, "0,20,40,41,44 * * * *", time.UTC, begin, time.Now()))
			})
		})
	}
}

// The replicas of a service share its ticks, by default.
//
// Seen to fail without the spread: the one whose clock is ahead has them all. And, for an own schedule, when each tick has a new job of
// redlock, which does not know whose turn it is.
func TestAdapter_shares_ticks(t *testing.T) {
	const ticks = 900
	minutes := parse(t, "* * * * *")
	cases := map[string]struct {
		schedule cron.Schedule
		opts     []redlock.JobOption
		least    int
	}{
		"by default":   {minutes, nil, 180},
		"own schedule": {fromStart{time.Unix(0, 0).UTC(), time.Minute}, nil, 180},
		"of a Locker":  {minutes, []redlock.JobOption{redlock.WithSpread(200 * time.Millisecond)}, 180},
		"switched off": {minutes, []redlock.JobOption{redlock.WithSpread(0)}, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 3)
				f.latency = 2 * time.Millisecond
				var fleet []*replica
				for i, ahead := range []time.Duration{0, 38 * time.Millisecond, 2 * time.Millisecond} {
					r := f.replica(string(rune('a'+i)), ahead, cronadapter.WithJobOptions(c.opts...))
					r.schedule("job", c.schedule, nothing)
					r.Start()
					fleet = append(fleet, r)
				}
				time.Sleep(ticks*time.Minute + time.Second)
				leaveAll(fleet)
				wins := map[string]int{}
				for _, r := range f.runs {
					wins[r.replica]++
				}
				if len(f.runs) != ticks || min(wins["a"], wins["b"], wins["c"]) < c.least || c.least == 0 && wins["b"] != ticks {
					t.Errorf("%d runs in %d ticks, shared %v", len(f.runs), ticks, wins)
				}
				t.Log(wins)
			})
		})
	}
}

// The spread is smaller for ticks that are close together.
//
// Seen to fail with the same spread for all.
func TestAdapter_spread_of_close_ticks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		r := f.replica("a", 0)
		r.schedule("job", fromStart{time.Now(), 100 * time.Millisecond}, nothing)
		r.Start()
		time.Sleep(time.Minute)
		leaveAll([]*replica{r})
		for _, run := range f.runs {
			if late := run.at.Sub(run.tick); late > 15*time.Millisecond {
				t.Fatalf("the tick %v ran %v late", run.tick, late)
			}
		}
		if len(f.runs) < 599 {
			t.Errorf("%d runs of 600 ticks", len(f.runs))
		}
	})
}
