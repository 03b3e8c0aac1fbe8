package gocronadapter_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

const stormSeeds = 40

// Around a change of the clocks, with random schedules, zones and modes, while all schedulers are stopped, started and changed
// at random: the fleet runs each tick that a single plain gocron runs, once, and each RunNow once.
//
// Seen to fail when a reload runs ticks that gocron has had pending since before a stop, and when such ticks are not passed over
// otherwise.
func TestNewScheduler_runs_what_plain_gocron_does(t *testing.T) {
	for seed := range uint64(stormSeeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newStorm(t, rand.New(rand.NewPCG(seed, 1))).run(t) })
		})
	}
}

// storm is a fleet, and a plain gocron to which the same is done.
type storm struct {
	rng    *rand.Rand
	define []func() gocron.JobDefinition
	length time.Duration
	opts   []gocron.JobOption
	model  gocron.Scheduler
	fleet  []*replica
	log    *ledger
	now    int // which definition the job has

	mu   sync.Mutex
	want []time.Time
}

func newStorm(t *testing.T, rng *rand.Rand) *storm {
	zone, err := time.LoadLocation(pick(rng, "UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"))
	if err != nil {
		t.Fatal(err)
	}
	s := &storm{rng: rng, log: newLedger()}
	cron := func(length time.Duration, specs ...string) {
		s.length = length
		for _, spec := range specs {
			s.define = append(s.define, func() gocron.JobDefinition { return gocron.CronJob(spec, true) })
		}
	}
	switch rng.IntN(3) {
	case 0:
		cron(5*time.Minute, "* * * * * *", "*/7 * * * * *", "0,1,30 * * * * *", "CRON_TZ=Asia/Kathmandu */13 * * * * *")
	case 1:
		cron(30*time.Hour, "*/10 * * * *", "30 1 * * *", "30 2 * * *", "0,30 1-3 * * *", "@daily", "CRON_TZ=Europe/Berlin 30 1,2,3 * * *")
	default:
		cron(9*24*time.Hour, "30 2 * * 0")
		at := gocron.NewAtTimes(gocron.NewAtTime(1, 30, 0), gocron.NewAtTime(2, 0, 17), gocron.NewAtTime(2, 30, 0))
		s.define = append(s.define, func() gocron.JobDefinition { return gocron.DailyJob(1, at) },
			func() gocron.JobDefinition {
				return gocron.WeeklyJob(1, gocron.NewWeekdays(time.Sunday, time.Tuesday), at)
			},
			func() gocron.JobDefinition { return gocron.MonthlyJob(1, gocron.NewDaysOfTheMonth(2, 27, 29, -1), at) })
	}
	for change := time.Now(); s.opts == nil; change = change.Add(time.Hour) {
		if _, is := change.In(zone).Zone(); is != offsetOf(change.Add(time.Hour).In(zone)) || change.YearDay() > 360 {
			time.Sleep(time.Until(change.Add(600*time.Millisecond - time.Duration(rng.Int64N(int64(s.length/time.Second)))*time.Second)))
			s.opts = []gocron.JobOption{gocron.WithName("job"), gocron.WithTags("tag"), gocron.WithDaylightSavingsTimePolicy(gocron.DaylightSavingsTimePolicy(rng.IntN(3)))}
		}
	}
	m := modes()[pick(rng, "plain", "singleton reschedule", "singleton wait", "limit reschedule", "limit wait", "both wait")]
	s.opts = append(s.opts, m.job...)
	scheduler := append(m.scheduler, gocron.WithLocation(zone))
	if s.model, err = gocron.NewScheduler(append(slices.Clip(scheduler), gocron.WithClock(newClock(0)))...); err != nil {
		t.Fatal(err)
	}
	own := []gocronadapter.Option{gocronadapter.WithSchedulerOptions(scheduler...)}
	if rng.IntN(3) == 0 {
		own = append(own, gocronadapter.WithJobOptions(redlock.WithTakeover()))
	}
	servers := redlocktest.Servers(3)
	for i, ahead := range []time.Duration{0, 40 * time.Millisecond, -150 * time.Millisecond} {
		s.fleet = append(s.fleet, newSchedulerOn(t, lockerOn(t, servers, fmt.Sprint(i)), append(slices.Clip(own), gocronadapter.WithClock(newClock(ahead)))...))
	}
	return s
}

func offsetOf(t time.Time) int {
	_, seconds := t.Zone()
	return seconds
}

// all does something to the plain gocron and to the fleet, 600 ms after a second.
func (s *storm) all(t *testing.T, do func(r gocron.Scheduler, task gocron.Task) error) {
	task := gocron.NewTask(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.want = append(s.want, time.Now().Truncate(time.Second).UTC())
	})
	for i, r := range append([]gocron.Scheduler{s.model}, s.fleet[0], s.fleet[1], s.fleet[2]) {
		if i > 0 {
			task = s.log.task("job", time.Millisecond)
		}
		if err := do(r, task); err != nil {
			t.Error(err)
		}
	}
}

func (s *storm) sleep(longest time.Duration) {
	if s.rng.IntN(2) == 0 {
		longest = 2 * time.Second
	}
	time.Sleep(time.Second + time.Duration(s.rng.Int64N(int64(longest/time.Second)))*time.Second)
	synctest.Wait()
}

func (s *storm) add(r gocron.Scheduler, task gocron.Task) error {
	_, err := r.NewJob(s.define[s.now](), task, s.opts...)
	return err
}

func (s *storm) update(r gocron.Scheduler, task gocron.Task) error {
	_, err := r.Update(r.Jobs()[0].ID(), s.define[s.now](), task, s.opts...)
	return err
}

func (s *storm) run(t *testing.T) {
	start := func(r gocron.Scheduler, _ gocron.Task) error { r.Start(); return nil }
	s.all(t, s.add)
	s.all(t, start)
	byHand := 0
	for range 12 {
		s.sleep(s.length / 5)
		switch s.now = pick(s.rng, s.now, s.rng.IntN(len(s.define))); s.rng.IntN(4) {
		case 0:
			s.all(t, func(r gocron.Scheduler, _ gocron.Task) error { return r.StopJobs() })
			s.sleep(s.length / 20)
			if s.rng.IntN(3) == 0 {
				s.all(t, s.update)
			}
			s.all(t, start)
		case 1:
			s.all(t, s.update)
		case 2:
			s.all(t, func(r gocron.Scheduler, task gocron.Task) error { r.RemoveByTags("tag"); return s.add(r, task) })
		default:
			if err := pick(s.rng, s.fleet...).Jobs()[0].RunNow(); err != nil {
				t.Error(err)
			}
			byHand++
		}
	}
	s.sleep(s.length / 5)
	if err := s.model.Shutdown(); err != nil {
		t.Error(err)
	}
	leaveAll(t, s.fleet)
	slices.SortFunc(s.want, time.Time.Compare)
	wantTicks(t, "job", s.log.of("job"), append(make([]time.Time, byHand), s.want...))
}
