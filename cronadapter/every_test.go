package cronadapter_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
)

// Replicas that start at odd instants run "@every 90s" at the multiples of 90 s
// since 1970, each once; seven minutes divide no hour, and not the time before 1970.
//
// Seen to fail with robfig's own schedule, and with a grid from the zero time.
func TestEvery_aligned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon)
		f := newFleet(t, 3)
		var fleet []*replica
		for i, wait := range []time.Duration{time.Second, 41 * time.Second, 17*time.Second + 345*time.Millisecond} {
			time.Sleep(wait)
			r := f.replica(string(rune('a'+i)), clocks[i])
			r.add("@every 90s", "@every 90s", time.Millisecond)
			r.add("@every 7m", "@every 7m", time.Millisecond)
			r.Start()
			fleet = append(fleet, r)
		}
		begin, end := nights[0].noon, nights[0].noon.Add(5*time.Hour+time.Second)
		travel(end)
		leaveAll(fleet)
		for job, d := range map[string]int64{"@every 90s": 90, "@every 7m": 420} {
			var want []time.Time
			for s := begin.Unix()/d*d + d; s <= end.Unix(); s += d {
				want = append(want, time.Unix(s, 0))
			}
			same(t, job, f.of(job), want)
		}
	})
}

// With cron's own phase, or under a wrapper, which cannot change it: one run an
// interval while nobody leaves, and when the replica that runs them leaves, the
// next run comes no earlier than one interval after its last, and no later than two.
//
// Seen to fail without the spacing.
func TestEvery_spaced(t *testing.T) {
	const every = 90 * time.Second
	forms := map[string]func(*replica){
		"Add":  func(r *replica) { r.addSpec("job", "@every 90s") },
		"Wrap": func(r *replica) { r.wrapSpec("job", "@every 90s") },
	}
	for name, add := range forms {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 1)
				start := func(name string) *replica {
					r := f.replica(name, 0, cronadapter.WithoutAlignment())
					add(r)
					r.Start()
					return r
				}
				first := start("a")
				time.Sleep(41 * time.Second)
				second := start("b")
				time.Sleep(30 * time.Second)
				third := start("c")
				time.Sleep(100*every + time.Second)
				leaveAll([]*replica{first})
				time.Sleep(10 * every)
				leaveAll([]*replica{second, third})
				ticks := f.of("job")
				if got := len(ticks); got < 109 || got > 111 {
					t.Errorf("%d runs in 110 intervals", got)
				}
				others := 0
				for i, r := range f.runs {
					if r.replica != "a" {
						others++
					}
					if i == 0 {
						continue
					}
					if gap := ticks[i].Sub(ticks[i-1]); gap < every || gap >= 2*every {
						t.Errorf("run %d comes %v after the one before", i, gap)
					}
				}
				if others < 9 {
					t.Errorf("the others ran %d times after the first had left", others)
				}
			})
		})
	}
}

// A job's own spacing goes before that of its schedule.
func TestEvery_own_spacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		var fleet []*replica
		for _, name := range []string{"a", "b"} {
			r := f.replica(name, 0, cronadapter.WithoutAlignment())
			r.add("job", "@every 90s", time.Millisecond, redlock.WithSpacing(10*time.Second))
			r.Start()
			fleet = append(fleet, r)
			time.Sleep(40 * time.Second)
		}
		time.Sleep(20*90*time.Second - 80*time.Second)
		leaveAll(fleet)
		if got := len(f.of("job")); got < 38 {
			t.Errorf("%d runs in 20 intervals of two replicas 40 s apart, want about 39", got)
		}
	})
}

func TestEvery_refused(t *testing.T) {
	f := newFleet(t, 1)
	aligned := f.replica("a", 0)
	if _, err := aligned.a.NewJob("zero", cron.ConstantDelaySchedule{}, nothing); !errors.Is(err, redlock.ErrInvalid) {
		t.Errorf("a delay of 0: %v", err)
	}
	if _, err := aligned.a.Add(aligned.Cron, "month", "@every 720h", nothing); err != nil {
		t.Errorf("an aligned month: %v", err)
	}
	spaced := f.replica("b", 0, cronadapter.WithoutAlignment())
	if _, err := spaced.a.Add(spaced.Cron, "month", "@every 720h", nothing); !errors.Is(err, redlock.ErrInvalid) {
		t.Errorf("a spacing of a month: %v", err)
	}
}
