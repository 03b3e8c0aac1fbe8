//go:build unix

// Package adaptertest holds tests that the adapters share: fleets on a real Redis that goes away, and catching up on missed
// ticks.
package adaptertest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// Daily is a job of one replica that is due once a day at the second of Tick in UTC.
type Daily struct {
	Locker *redlock.Locker
	Tick   time.Time
	Ahead  time.Duration // of the replica's clock
	Run    func(ctx context.Context) error
}

// Start starts a scheduler with one job, and returns a function that stops it.
type Start func(t *testing.T, d Daily) (stop func())

// outage is a way in which a Redis goes away.
type outage struct {
	addr       string // for clients
	begin, end func()
}

func outages() map[string]func(t *testing.T) outage {
	durable := func(t *testing.T) *redisserver.Server {
		return redisserver.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	}
	return map[string]func(t *testing.T) outage{
		"killed": func(t *testing.T) outage {
			s := durable(t)
			return outage{s.Addr(), s.Kill, s.Restart}
		},
		"hung": func(t *testing.T) outage {
			s := durable(t)
			return outage{s.Addr(), s.Pause, s.Resume}
		},
		"cut off": func(t *testing.T) outage {
			s := durable(t)
			f := redisserver.Forward(t, s.Addr())
			return outage{f.Addr(), f.Cut, func() { f.Move(s.Addr()) }}
		},
	}
}

// durations returns the lengths of the outages: those in REDTICK_OUTAGES, or 5 s.
func durations(t *testing.T) (all []time.Duration) {
	list := os.Getenv("REDTICK_OUTAGES")
	if list == "" {
		list = "5s"
	}
	for _, text := range strings.Split(list, ",") {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// OnRealRedis tests three replicas whose only Redis goes away at the tick of a daily job, in each way, and replicas that are
// all down at the tick. It takes 10 s; REDTICK_OUTAGES=5s,30s,300s sets other lengths of the outages.
func OnRealRedis(t *testing.T, start Start) {
	var all sync.WaitGroup
	defer all.Wait()
	for name, of := range outages() {
		for _, lasting := range durations(t) {
			all.Go(func() {
				t.Run(name+" for "+lasting.String(), func(t *testing.T) { goesAway(t, of(t), lasting, start) })
			})
		}
	}
	all.Go(func() { t.Run("all were down", func(t *testing.T) { allWereDown(t, start) }) })
}

// goesAway wants one late run. Each replica warns once that the tick was refused, one reports that it ran late, and nobody
// logs an error.
func goesAway(t *testing.T, o outage, lasting time.Duration, start Start) {
	f := &fleet{addr: o.addr}
	tick := time.Now().Truncate(time.Second).Add(4 * time.Second)
	for range 3 {
		f.join(t, start, tick, 0)
	}
	time.Sleep(time.Until(tick) - time.Second)
	o.begin()
	if !time.Now().Before(tick) {
		o.end()
		f.leave(t)
		goesAway(t, o, lasting, start) // this machine was so busy that the outage began after the tick
		return
	}
	time.Sleep(time.Until(tick.Add(lasting)))
	f.await(t, "each replica's warning", func() bool { return f.count(warned) >= 3 }) // later than that on a busy machine
	back := time.Now()
	o.end()
	f.await(t, "the end of each replica's claim", func() bool { return f.count(decided) >= 3 })
	f.leave(t)
	f.ranOnce(t, tick, back)
	if w, l, e := f.count(warned), f.count(late), f.count(failed); w != 3 || l != 1 || e != 0 {
		t.Errorf("%d warnings, want 3; %d late runs, want 1; %d errors, want 0; events:\n%s", w, l, e, strings.Join(f.lines(), "\n"))
	}
}

// allWereDown wants one run of the newest tick once three replicas start together.
func allWereDown(t *testing.T, start Start) {
	f := &fleet{addr: redisserver.Start(t).Addr()}
	tick := time.Now().Truncate(time.Second).Add(3 * time.Second)
	f.join(t, start, tick, -24*time.Hour) // has the tick of the day before
	if !time.Now().Before(tick) {
		f.leave(t)
		allWereDown(t, start) // this machine was so busy that the job was added after its tick
		return
	}
	f.await(t, "the run of the day before", func() bool { return f.count(ended) == 1 })
	f.leave(t)
	f.forget()
	time.Sleep(time.Until(tick.Add(100 * time.Millisecond)))
	back := time.Now()
	for range 3 {
		f.join(t, start, tick, 0)
	}
	f.await(t, "a run", func() bool { return f.count(ended) > 0 })
	time.Sleep(time.Second)
	f.leave(t)
	f.ranOnce(t, tick, back)
	if n := f.count(failed); n > 0 {
		t.Errorf("%d errors; events:\n%s", n, strings.Join(f.lines(), "\n"))
	}
}

// fleet is a set of replicas of one job, with their runs and events.
type fleet struct {
	addr  string
	stops []func(t *testing.T)

	mu     sync.Mutex
	runs   []run
	events []redlock.Event
}

type run struct{ tick, at time.Time }

func (f *fleet) join(t *testing.T, start Start, tick time.Time, ahead time.Duration) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: f.addr})
	locker, err := redlock.New(goredis.Nodes(client), redlock.WithObserver(f.observe), redlock.WithCatchUp(25*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, Daily{locker, tick, ahead, f.run})
	f.stops = append(f.stops, func(t *testing.T) {
		stop()
		if err := errors.Join(locker.Close(context.Background()), client.Close()); err != nil {
			t.Error(err)
		}
	})
}

func (f *fleet) run(ctx context.Context) error {
	tick, _ := redlock.TickFrom(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs = append(f.runs, run{tick, time.Now()})
	return nil
}

func (f *fleet) observe(e redlock.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

func (f *fleet) leave(t *testing.T) {
	for _, stop := range f.stops {
		stop(t)
	}
	f.stops = nil
}

func (f *fleet) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs, f.events = nil, nil
}

func (f *fleet) count(of func(redlock.Event) bool) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		if of(e) {
			n++
		}
	}
	return n
}

func failed(e redlock.Event) bool { return e.Level() >= slog.LevelError }
func ended(e redlock.Event) bool  { return e.Kind == redlock.Ended }
func warned(e redlock.Event) bool { return e.Kind == redlock.Refused && e.Level() == slog.LevelWarn }
func late(e redlock.Event) bool {
	return e.Kind == redlock.Acquired && e.Level() == slog.LevelInfo && errors.Is(e.Err, redlock.ErrNoQuorum)
}

// decided reports whether e ends a claim: its run has ended, or another replica has the tick.
func decided(e redlock.Event) bool {
	return ended(e) || errors.Is(e.Err, redlock.ErrTickDone) || errors.Is(e.Err, redlock.ErrTaken)
}

// await fails the test after a minute, far longer than needed.
func (f *fleet) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come; events: %v", what, f.lines())
		}
	}
}

func (f *fleet) lines() (lines []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		line := e.Level().String() + " " + string(e.Kind)
		if e.Err != nil {
			line += ": " + e.Err.Error()
		}
		lines = append(lines, line)
	}
	return lines
}

func (f *fleet) ranOnce(t *testing.T, tick, notBefore time.Time) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.runs) != 1 || !f.runs[0].tick.Equal(tick) || f.runs[0].at.Before(notBefore) {
		t.Errorf("runs %v, want one of %v, after %v", f.runs, tick, notBefore)
	}
}
