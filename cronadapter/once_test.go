package cronadapter_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/cronadapter"
)

// Mutations that were made and seen to fail, by what they break:
//   - claim: TryLock for Claim; the present second as the tick: once_per_tick, ticks_are_robfigs
//   - which tick: the newest answer for the newest that has come; an answer from
//     the past moves the tick back; answers kept out of order: Next_may_be_asked_by_others;
//     only Next looks at the time: runs_before_its_cron_asks_on; Entry.Next for Prev: ticks_are_robfigs
//   - @every: no grid, or one from the year 1: aligned; no spacing: spaced; the
//     schedule's spacing before the job's: own_spacing
//   - the lease: not bound, or the loss told never or twice: lease_lost; not unlocked in a defer: panic
//   - panics: recovered and not passed on: panic, panic_SkipIfStillRunning
//   - Stop: contexts that do not end: Stop; an error for it: Stop_is_final
//   - telling: a refusal of redlock's told again: not_run; a job's error dropped: logs_by_default
//   - wrappers: looked up by Job or by WrappedJob only: panic; a second job runs, or is not told at once: two_jobs;
//     Attach forgets the cron before: Attach; a run before the first tick let through: started_by_hand
//   - names: not kept: names; not freed after a refused option: Add_refuses; not freed by Remove,
//     other jobs removed too, wrapped ones not: Remove
//   - specs: the standard parser: ticks_are_robfigs; its panic let through, dates that never come taken: Add_refuses

// clocks are how far ahead the replicas' clocks are.
var clocks = []time.Duration{0, 40 * time.Millisecond, -300 * time.Millisecond}

// nights are the nights on which clocks change.
var nights = []struct {
	zone       string
	noon       time.Time      // of the day before
	activates  map[string]int // what robfig makes of the hour that is missing or comes twice
	fullHours  int
	shortHours int
}{
	{"America/New_York", time.Date(2026, 3, 7, 17, 0, 30, 0, time.UTC), map[string]int{"at 1": 1, "at 2": 0}, 26, 16},
	{"Europe/Berlin", time.Date(2026, 3, 28, 11, 0, 30, 0, time.UTC), map[string]int{"at 1": 1, "at 2": 0}, 26, 16},
	{"Europe/Berlin", time.Date(2026, 10, 24, 10, 0, 30, 0, time.UTC), map[string]int{"at 1": 1, "at 2": 2}, 26, 16},
	{"America/New_York", time.Date(2026, 10, 31, 16, 0, 30, 0, time.UTC), map[string]int{"at 1": 2, "at 2": 1}, 26, 16},
}

// Three replicas whose clocks are up to 340 ms apart run every minute, and in
// the hour that is missing or comes twice, through the nights on which clocks
// change: 104 hours, in which each firing of robfig's runs once.
func TestAdapter_once_per_tick(t *testing.T) {
	for _, night := range nights {
		t.Run(fmt.Sprint(night.zone, " ", night.noon.Format("January")), func(t *testing.T) {
			hours := night.fullHours
			if raceDetector || testing.Short() {
				hours = night.shortHours
			}
			specs := map[string]string{
				"minute": "* * * * *",
				"at 1":   "CRON_TZ=" + night.zone + " 30 1 * * *",
				"at 2":   "TZ=" + night.zone + " 30 2 * * *",
			}
			synctest.Test(t, func(t *testing.T) {
				travel(night.noon)
				end := night.noon.Add(time.Duration(hours) * time.Hour)
				f := newFleet(t, 3)
				f.latency = 3 * time.Millisecond
				fleet := f.startAll(specs)
				travel(end)
				leaveAll(fleet)
				for job, spec := range specs {
					same(t, job, f.of(job), chain(t, spec, time.UTC, night.noon, end))
					if want, ok := night.activates[job]; ok && len(f.of(job)) != want {
						t.Errorf("%s: %d runs, want %d", job, len(f.of(job)), want)
					}
				}
				if got, want := len(f.of("minute")), hours*60; got != want {
					t.Errorf("minute: %d runs, want %d", got, want)
				}
			})
		})
	}
}

// startAll starts a replica per clock, all with the same jobs.
func (f *fleet) startAll(specs map[string]string, opts ...cronadapter.Option) (fleet []*replica) {
	for i, skew := range clocks {
		r := f.replica(string(rune('a'+i)), skew, opts...)
		for job, spec := range specs {
			r.add(job, spec, time.Millisecond)
		}
		r.Start()
		fleet = append(fleet, r)
	}
	return fleet
}

// leaveAll also fails when there was anything but skips.
func leaveAll(fleet []*replica) {
	for _, r := range fleet {
		r.leave()
		for _, l := range r.log.failures() {
			r.f.t.Errorf("%s: %s: %v", r.name, l.Kind, l.Err)
		}
	}
}

// Replicas crash and come back, one at a time and for up to half an hour. A
// crash is a cut cable: the process goes on, but reaches nobody. Away from the
// ticks each tick still runs once. At the very instant of a tick the crash may
// take that tick with it, but never lets it run twice.
func TestAdapter_replicas_die_and_return(t *testing.T) {
	for name, atTick := range map[string]bool{"between ticks": false, "at the tick": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				travel(nights[0].noon)
				d := &deaths{fleet: newFleet(t, 3), atTick: atTick, random: rand.New(rand.NewPCG(1, 2)), hit: map[time.Time]bool{}}
				d.latency = 3 * time.Millisecond
				length := 24 * time.Hour
				if raceDetector || testing.Short() {
					length /= 3
				}
				d.play(length)
			})
		})
	}
}

type deaths struct {
	*fleet
	atTick bool
	random *rand.Rand
	up     []*replica
	all    []*replica
	hit    map[time.Time]bool // ticks at which somebody died
}

func (d *deaths) play(length time.Duration) {
	begin, end := time.Now(), time.Now().Add(length)
	for i := range clocks {
		d.start(i)
	}
	for time.Now().Before(end) {
		d.crash(d.random.IntN(len(clocks)))
	}
	for _, r := range d.up {
		r.leave()
	}
	for _, r := range d.all {
		<-r.Stop().Done()
		r.locker.Close(d.t.Context())
	}
	d.judge(chain(d.t, "* * * * *", time.UTC, begin, end))
}

func (d *deaths) start(i int) {
	r := d.replica(fmt.Sprintf("%c%d", 'a'+i, len(d.all)), clocks[i])
	r.add("job", "* * * * *", 10*time.Millisecond)
	r.Start()
	if i == len(d.up) {
		d.up = append(d.up, r)
	}
	d.up[i] = r
	d.all = append(d.all, r)
}

// crash cuts a replica off, and brings another up in its place after a while.
func (d *deaths) crash(i int) {
	tick := time.Now().Add(time.Duration(d.random.IntN(30)) * time.Minute).Truncate(time.Minute).Add(time.Minute).UTC()
	travel(tick.Add(30 * time.Second))
	if d.atTick {
		tick = tick.Add(time.Minute)
		d.hit[tick] = true
		travel(tick.Add(-clocks[i] + time.Duration(d.random.IntN(int(15*time.Millisecond)))))
	}
	d.up[i].cut()
	travel(tick.Add(45 * time.Second).Add(time.Duration(d.random.IntN(30)) * time.Minute))
	d.up[i].Stop()
	d.start(i)
}

func (d *deaths) judge(ticks []time.Time) {
	runs := map[time.Time]int{}
	for _, tick := range d.of("job") {
		runs[tick]++
	}
	lost := 0
	for _, tick := range ticks {
		switch n := runs[tick]; {
		case n == 0 && d.hit[tick]:
			lost++
		case n != 1:
			d.t.Errorf("tick %s ran %d times", tick.Format(time.RFC3339), n)
		}
	}
	d.t.Logf("%d ticks, %d lost of the %d at which somebody died, %d replicas came and went", len(ticks), lost, len(d.hit), len(d.all))
}
