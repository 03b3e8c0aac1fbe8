package gocronadapter_test

import (
	"context"
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

const stepSeeds = 12

// The clocks of two of three replicas are set, by milliseconds to hours, and the replicas are restarted, all at random, with random
// schedules, modes and options. No tick runs twice or out of order, no two runs overlap, and no run is without a tick. Because of the
// third replica, whose clock is right, each tick runs, unless the fleet has run a later one by a clock that is ahead, or, at most once, a
// run is under way. In the end the two go on alone with the right time.
//
// Seen to fail when fired is always false, and when it compares with the wall clock.
func TestLocker_clocks_set_at_random(t *testing.T) {
	base := time.Now()
	base = setWall(base, time.Date(2026, 3, 1, 12, 0, 0, 253e6, time.UTC).Sub(base.Round(0)))
	for seed := range uint64(stepSeeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				newSteps(rand.New(rand.NewPCG(seed, 0)), base).run(t)
			})
		})
	}
}

// steps is a fleet of replicas whose clocks are set.
type steps struct {
	rng      *rand.Rand
	base     time.Time
	begin    time.Time
	servers  []*redlocktest.Server
	clocks   [3]*clock
	fleet    [3]*replica
	interval time.Duration
	work     time.Duration
	mode     string
	job      []redlock.JobOption
	takeover bool
	attached bool
	behind   bool // no clock is ever ahead

	mu   sync.Mutex
	runs []turn
}

type turn struct{ tick, begin, end time.Time }

func pick[T any](rng *rand.Rand, all ...T) T { return all[rng.IntN(len(all))] }

func newSteps(rng *rand.Rand, base time.Time) *steps {
	s := &steps{rng: rng, base: base, begin: time.Now(), servers: redlocktest.Servers(3)}
	for _, server := range s.servers {
		server.SetClock(time.Until(base), 1)
	}
	for i := range s.clocks {
		s.clocks[i] = newClock(0)
		s.clocks[i].base, s.clocks[i].begin = base, s.begin
	}
	s.interval = pick(rng, 500*time.Millisecond, time.Second, 5*time.Second, time.Minute)
	s.work = pick(rng, time.Millisecond, s.interval/10, s.interval*4/10)
	s.mode = pick(rng, "plain", "plain", "singleton reschedule", "singleton wait", "limit reschedule", "limit wait", "both wait")
	s.takeover, s.attached, s.behind = rng.IntN(3) == 0, rng.IntN(2) == 0, rng.IntN(3) == 0
	if s.takeover {
		s.job = append(s.job, redlock.WithTakeover())
	}
	if rng.IntN(2) == 0 {
		s.job = append(s.job, redlock.WithSpread(0))
	}
	return s
}

func (s *steps) now() time.Time { return s.base.Add(time.Since(s.begin)).Round(0) }

func (s *steps) run(t *testing.T) {
	for i := range s.fleet {
		if i > 0 && s.rng.IntN(2) == 0 {
			s.step(i)
		}
		s.start(t, i)
	}
	from := s.now().Truncate(s.interval).Add(2 * s.interval)
	until := from.Add(60 * s.interval)
	for s.now().Before(until) {
		time.Sleep(time.Duration(s.rng.Int64N(int64(8 * s.interval))))
		switch i := 1 + s.rng.IntN(2); s.rng.IntN(4) {
		case 0:
			s.clocks[i].steps.Store(0)
		case 1:
			s.end(t, i)
			s.start(t, i)
		default:
			s.step(i)
		}
	}
	time.Sleep(3 * s.interval)
	s.check(t, from, until)

	s.end(t, 0)
	time.Sleep(redlock.DefaultMaxSkew + time.Minute) // until no clock that was ahead has run what is to come
	for i := 1; i < 3; i++ {
		s.clocks[i].steps.Store(0)
		if s.attached || s.rng.IntN(2) == 0 {
			s.end(t, i)
			s.start(t, i)
			continue
		}
		d, opts := s.definition()
		if _, err := s.fleet[i].Update(s.fleet[i].Jobs()[0].ID(), d, s.task(), opts...); err != nil {
			t.Error(err)
		}
	}
	s.behind = true
	time.Sleep(s.interval / 3)
	from = s.now().Truncate(s.interval).Add(2 * s.interval)
	time.Sleep(14 * s.interval)
	s.check(t, from, from.Add(10*s.interval))
	s.end(t, 1)
	s.end(t, 2)
	if t.Failed() {
		t.Logf("interval %v, work %v, %s, take-over %v, attached %v, never ahead %v", s.interval, s.work, s.mode, s.takeover, s.attached, s.behind)
	}
}

// step sets a clock.
func (s *steps) step(i int) {
	by := time.Duration(s.rng.Int64N(int64(pick(s.rng, 20*time.Millisecond, time.Second, time.Minute, 4*time.Minute, 3*time.Hour))))
	if s.rng.IntN(2) == 0 {
		by = -by
	}
	by += time.Duration(s.clocks[i].steps.Load())
	if s.behind {
		by = min(by, 0)
	}
	s.clocks[i].steps.Store(int64(by))
}

func (s *steps) start(t *testing.T, i int) {
	locker := lockerOn(t, s.servers, fmt.Sprint(i, "#", s.rng.Uint32()), redlock.WithObserver(func(redlock.Event) {}))
	options := append(modes()[s.mode].scheduler, gocron.WithLocation(time.UTC))
	own := []gocronadapter.Option{gocronadapter.WithClock(s.clocks[i]), gocronadapter.WithJobOptions(s.job...)}
	if s.attached {
		adapter, err := gocronadapter.NewLocker(locker.Locker, own...)
		if err != nil {
			t.Fatal(err)
		}
		plain := newGocron(t, append(options, gocron.WithClock(s.clocks[i]), gocron.WithDistributedLocker(adapter))...)
		if err := adapter.Attach(plain); err != nil {
			t.Fatal(err)
		}
		s.fleet[i] = &replica{Scheduler: plain, locker: locker, shutdown: sync.OnceValue(plain.Shutdown)}
	} else {
		s.fleet[i] = newSchedulerOn(t, locker, append(own, gocronadapter.WithSchedulerOptions(options...))...)
	}
	d, opts := s.definition()
	s.fleet[i].job(t, d, s.task(), opts...)
	s.fleet[i].Start()
}

func (s *steps) end(t *testing.T, i int) { leaveAll(t, []*replica{s.fleet[i]}) }

func (s *steps) definition() (gocron.JobDefinition, []gocron.JobOption) {
	opts := append(modes()[s.mode].job, gocron.WithName("job"))
	switch s.interval {
	case time.Second:
		return everySecond(), opts
	case 5 * time.Second:
		return gocron.CronJob("*/5 * * * * *", true), opts
	}
	return gocron.DurationJob(s.interval), append(opts, gocronadapter.Aligned(s.interval))
}

func (s *steps) task() gocron.Task {
	return gocronadapter.Task(func(ctx context.Context) error {
		tick, _ := redlock.TickFrom(ctx)
		s.mu.Lock()
		i := len(s.runs)
		s.runs = append(s.runs, turn{tick: tick, begin: s.now()})
		s.mu.Unlock()
		time.Sleep(s.work)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.runs[i].end = s.now()
		return nil
	})
}

func (s *steps) check(t *testing.T, from, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.runs {
		if r.tick.IsZero() || !r.tick.Equal(r.tick.Truncate(s.interval)) {
			t.Errorf("a run at %v for the tick %v", r.begin, r.tick)
		}
		if i > 0 && (!r.tick.After(s.runs[i-1].tick) || r.begin.Before(s.runs[i-1].end)) {
			t.Errorf("a run of %v at %v comes after that of %v, which ended at %v", r.tick, r.begin, s.runs[i-1].tick, s.runs[i-1].end)
		}
	}
	for tick := from; !tick.After(until); tick = tick.Add(s.interval) {
		asked := tick.Add(4 * gocronadapter.DefaultSpread)
		if !slices.ContainsFunc(s.runs, func(r turn) bool {
			switch {
			case r.tick.Equal(tick):
				return true
			case r.tick.After(tick) && !s.behind:
				return r.begin.Before(asked) || s.takeover && r.begin.Before(asked.Add(s.work))
			}
			return !s.takeover && r.begin.Before(asked) && r.end.After(tick)
		}) {
			t.Errorf("nobody ran %v", tick)
		}
	}
}
