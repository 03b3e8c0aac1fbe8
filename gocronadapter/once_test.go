package gocronadapter_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// ticksPerArm makes more than 100,000 ticks in the six arms.
const ticksPerArm = 17_000

// Every tick runs on exactly one of three replicas whose clocks are apart,
// while two of them come and go and are up to an hour late. One replica is always
// up and on time, because a tick that nobody asks for does not run.
//
// Seen to fail when the plan has no tick, when the tick is the time of day, and
// (aligned) when Aligned sets no start.
func TestLocker_once_per_tick(t *testing.T) {
	ticks := ticksPerArm
	if raceDetector {
		ticks /= 20
		t.Logf("the race detector is on: %d ticks per arm instead of %d", ticks, ticksPerArm)
	}
	schedules := map[string]struct {
		interval time.Duration
		job      func() gocron.JobDefinition
		opts     []gocron.JobOption
	}{
		"cron":    {time.Second, everySecond, nil},
		"aligned": {500 * time.Millisecond, func() gocron.JobDefinition { return gocron.DurationJob(500 * time.Millisecond) }, []gocron.JobOption{gocronadapter.Aligned(500 * time.Millisecond)}},
	}
	for kind, s := range schedules {
		for _, work := range []time.Duration{time.Millisecond, 60 * time.Millisecond, 200 * time.Millisecond} {
			t.Run(fmt.Sprintf("%s/%v", kind, work), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := &unrest{t: t, log: newLedger(), servers: redlocktest.Servers(3), interval: s.interval, work: work, job: s.job, opts: s.opts}
					f.run(ticks)
				})
			})
		}
	}
}

// unrest is a fleet whose replicas come and go.
type unrest struct {
	t        *testing.T
	log      *ledger
	servers  []*redlocktest.Server
	interval time.Duration
	work     time.Duration
	job      func() gocron.JobDefinition
	opts     []gocron.JobOption
	slots    [3]*replica
	starts   int
	freezes  atomic.Int32
}

func (f *unrest) run(ticks int) {
	f.start(0, true)
	time.Sleep(2 * f.interval)
	first := time.Now().Truncate(f.interval).Add(f.interval)
	last := first.Add(time.Duration(ticks-1) * f.interval)
	for steady := 1; time.Now().Before(last); steady++ {
		f.start(steady%3, true)
		time.Sleep(2 * f.interval)
		for _, other := range []int{1, 2} {
			if rand.N(4) == 0 {
				f.stop((steady + other) % 3)
			} else {
				f.start((steady+other)%3, false)
			}
		}
		time.Sleep(rand.N(800 * f.interval))
	}
	time.Sleep(2 * f.interval)
	for i := range f.slots {
		f.stop(i)
	}
	got := f.log.tally(f.t, "job", first, last, f.interval)
	if want := map[int]int{1: ticks}; !maps.Equal(got, want) {
		f.t.Errorf("ticks by runs: %v, want %v", got, want)
	}
	if f.log.overlap {
		f.t.Error("two runs of the job at one time")
	}
	f.t.Logf("ticks by runs: %v; %d starts, %d timers more than a minute late", got, f.starts, f.freezes.Load())
}

func (f *unrest) start(slot int, onTime bool) {
	f.stop(slot)
	f.starts++
	// Not -300 ms: with the 200 ms job, a run by the slow clock would end in the
	// very instant in which the next tick, 500 ms on, is due by the right one.
	// Whether "an earlier run still holds the job" would then be a coin's toss,
	// and a replica that is refused may be the last that asks.
	c := newClock([]time.Duration{0, 120 * time.Millisecond, -299 * time.Millisecond}[slot])
	if !onTime {
		c.late = f.lateness
	}
	r := newReplica(f.t, lockerOn(f.t, f.servers, fmt.Sprint(slot, "#", f.starts)), c)
	r.job(f.t, f.job(), f.log.task("job", f.work), append(f.opts, gocron.WithName("job"))...)
	r.Start()
	f.slots[slot] = r
}

func (f *unrest) stop(slot int) {
	if r := f.slots[slot]; r != nil {
		r.leave(f.t)
		f.slots[slot] = nil
	}
}

func (f *unrest) lateness() time.Duration {
	switch n := rand.N(1000); {
	case n < 2:
		f.freezes.Add(1)
		return rand.N(time.Hour)
	case n < 20:
		return rand.N(10 * time.Second)
	case n < 300:
		return rand.N(50 * time.Millisecond)
	}
	return 0
}
