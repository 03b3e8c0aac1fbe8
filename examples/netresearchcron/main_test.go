package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata"

	"github.com/netresearch/go-cron"
	robfig "github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// fleet is some replicas and the ticks that they ran, in a bubble.
type fleet struct {
	t       *testing.T
	servers []*redlocktest.Server
	begin   time.Time

	mu    sync.Mutex
	ticks []time.Time
	told  []redlock.Event
}

func newFleet(t *testing.T, begin time.Time) *fleet {
	time.Sleep(time.Until(begin))
	return &fleet{t: t, servers: redlocktest.Servers(3), begin: begin}
}

func (f *fleet) note(ctx context.Context) error {
	tick, ok := redlock.TickFrom(ctx)
	if !ok {
		return errors.New("no tick")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ticks = append(f.ticks, tick)
	return nil
}

// watch keeps what is logged by default.
func (f *fleet) watch(e redlock.Event) {
	if e.Level() < slog.LevelWarn {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, e)
}

// replica is one process.
type replica struct {
	*cron.Cron
	a      *cronadapter.Adapter
	locker *redlock.Locker
	clock  *clock
}

func (f *fleet) replica(name string, opts ...cron.Option) *replica {
	f.t.Helper()
	locker, err := redlock.New(redlocktest.Nodes(f.servers, name), redlock.WithHolder(name), redlock.WithObserver(f.watch))
	if err != nil {
		f.t.Fatal(err)
	}
	r := &replica{locker: locker, clock: &clock{}}
	if r.a, err = cronadapter.New(locker, cronadapter.WithClock(r.clock.Now)); err != nil {
		f.t.Fatal(err)
	}
	opts = append([]cron.Option{cron.WithLogger(cron.DiscardLogger), cron.WithLocation(time.UTC), cron.WithClock(r.clock)}, opts...)
	r.Cron = cron.New(opts...)
	return r
}

func (f *fleet) leave(fleet ...*replica) {
	f.t.Helper()
	for _, r := range fleet {
		<-r.a.Stop(r.Cron).Done()
		if err := r.locker.Close(context.Background()); err != nil {
			f.t.Error(err)
		}
	}
}

// clock is a clock that can be set.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) NewTimer(d time.Duration) cron.Timer {
	fired := make(chan time.Time, 1)
	t := time.AfterFunc(d, func() { fired <- c.Now() })
	return timer{t, fired}
}

type timer struct {
	*time.Timer
	fired chan time.Time
}

func (t timer) C() <-chan time.Time { return t.fired }

// chain returns the ticks of a schedule of the fork.
func chain(t *testing.T, spec, zone string, from, to time.Time) (ticks []time.Time) {
	t.Helper()
	schedule, err := cron.ParseStandard(spec)
	if err != nil {
		t.Fatal(err)
	}
	for next := schedule.Next(from.In(load(t, zone))); next.Before(to); next = schedule.Next(next) {
		ticks = append(ticks, next.UTC())
	}
	return ticks
}

func load(t *testing.T, zone string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// Three replicas whose clocks are up to 340 ms apart run what the fork's own
// schedule answers, each tick once, through the nights on which clocks change.
func TestAdd_once_per_tick(t *testing.T) {
	for _, night := range []time.Time{time.Date(2026, 3, 7, 12, 0, 30, 0, time.UTC), time.Date(2026, 10, 31, 12, 0, 30, 0, time.UTC)} {
		for _, spec := range []string{"* * * * *", "30 1 * * *", "30 2 * * *", "0 2 * * *", "@every 90s", "0 3 1-7 * SUN"} {
			t.Run(fmt.Sprint(night.Month(), " ", spec), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const zone = "America/New_York"
					f := newFleet(t, night)
					end := night.Add(26 * time.Hour)
					var all []*replica
					for i, ahead := range []time.Duration{0, 40 * time.Millisecond, -300 * time.Millisecond} {
						r := f.replica(string(rune('a'+i)), cron.WithLocation(load(t, zone)), cron.WithChain(cron.Recover(cron.DiscardLogger), cron.SkipIfStillRunning(cron.DiscardLogger)))
						r.clock.ahead.Store(int64(ahead))
						if err := add(r.Cron, r.a, "job", spec, f.note); err != nil {
							t.Fatal(err)
						}
						r.Start()
						all = append(all, r)
					}
					time.Sleep(time.Until(end))
					f.leave(all...)
					want := chain(t, spec, zone, night, end)
					if spec == "@every 90s" { // aligned
						want = nil
						for s := night.Unix()/90*90 + 90; s < end.Unix(); s += 90 {
							want = append(want, time.Unix(s, 0).UTC())
						}
					}
					slices.SortFunc(f.ticks, time.Time.Compare)
					if !slices.EqualFunc(f.ticks, want, time.Time.Equal) {
						t.Errorf("%d runs of %d ticks", len(f.ticks), len(want))
					}
					if len(f.told) != 0 {
						t.Errorf("told %v", f.told)
					}
				})
			})
		}
	}
}

// The fork notices that a clock was set back, and asks the schedule anew.
func TestAdd_clock_is_set_back(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Date(2026, 3, 7, 12, 0, 30, 0, time.UTC))
		r := f.replica("a")
		r.clock.ahead.Store(int64(3 * time.Minute)) // less than redlock.WithMaxSkew, so it runs what comes
		if err := add(r.Cron, r.a, "job", "* * * * *", f.note); err != nil {
			t.Fatal(err)
		}
		r.Start()
		time.Sleep(10 * time.Minute)
		r.clock.ahead.Store(0)
		set := time.Now()
		time.Sleep(10 * time.Minute)
		f.leave(r)
		// What the replica ran while its clock was ahead is done: the first three minutes.
		want := chain(t, "* * * * *", "UTC", f.begin.Add(3*time.Minute), set.Add(10*time.Minute))
		if !slices.EqualFunc(f.ticks, want, time.Time.Equal) {
			t.Errorf("ran %d ticks, want %d: %v", len(f.ticks), len(want), f.ticks)
		}
	})
}

// A run that the fork starts immediately has no tick. It is refused, which is logged.
func TestAdd_RunImmediately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Date(2026, 3, 7, 12, 0, 30, 0, time.UTC))
		r := f.replica("a")
		if err := add(r.Cron, r.a, "job", "* * * * *", f.note, cron.WithRunImmediately()); err != nil {
			t.Fatal(err)
		}
		r.Start()
		time.Sleep(61 * time.Second)
		f.leave(r)
		if len(f.ticks) != 1 || len(f.told) != 1 || !errors.Is(f.told[0].Err, cronadapter.ErrNoTick) {
			t.Errorf("%d runs, told %v", len(f.ticks), f.told)
		}
	})
}

// The table of docs/schedules.md: what both make of the nights on which clocks
// change, and of two days in one spec.
func TestFork_differs(t *testing.T) {
	const newYork, saoPaulo = "America/New_York", "America/Sao_Paulo"
	spring, autumn := time.Date(2026, 3, 8, 4, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC)
	midnight, month := time.Date(2018, 11, 4, 1, 0, 0, 0, time.UTC), time.Date(2026, 2, 9, 0, 0, 0, 0, time.UTC)
	if _, err := cron.ParseStandard("TZ=UTC"); err == nil {
		t.Error("the fork takes a zone without fields")
	}
	for _, c := range []struct {
		zone, spec   string
		from         time.Time
		length       time.Duration
		robfig, fork []string
	}{
		{newYork, "30 2 * * *", spring, 20 * time.Hour, nil, []string{"08 03:30"}},
		{newYork, "0 2 * * *", spring, 20 * time.Hour, nil, []string{"08 03:00"}},
		{newYork, "*/30 2 * * *", spring, 20 * time.Hour, nil, []string{"08 03:00"}},
		{newYork, "30 2,3 * * *", spring, 20 * time.Hour, []string{"08 03:30"}, []string{"08 03:30"}},
		{newYork, "30 1 * * *", autumn, 20 * time.Hour, []string{"01 01:30", "01 01:30"}, []string{"01 01:30", "01 01:30"}},
		{saoPaulo, "30 0 * * *", midnight, 20 * time.Hour, nil, nil},
		{"UTC", "0 0 13 * FRI", month, 12 * 24 * time.Hour, []string{"13 00:00", "20 00:00"}, []string{"13 00:00"}},
	} {
		t.Run(c.zone+" "+c.spec, func(t *testing.T) {
			theirs, err1 := robfig.ParseStandard(c.spec)
			fork, err2 := cron.ParseStandard(c.spec)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			answers := func(s cronadapter.Schedule) (all []string) {
				from := c.from.In(load(t, c.zone))
				for next := s.Next(from); next.Before(from.Add(c.length)); next = s.Next(next) {
					all = append(all, next.Format("02 15:04"))
				}
				return all
			}
			if got := answers(theirs); !slices.Equal(got, c.robfig) {
				t.Errorf("robfig: %v, want %v", got, c.robfig)
			}
			if got := answers(fork); !slices.Equal(got, c.fork) {
				t.Errorf("fork: %v, want %v", got, c.fork)
			}
		})
	}
}
