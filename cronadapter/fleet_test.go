package cronadapter_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// fleet is some replicas of one service and what they did, in a bubble.
type fleet struct {
	t       *testing.T
	servers []*redlocktest.Server
	latency time.Duration // of one way, at most

	mu   sync.Mutex
	runs []begun
}

// begun is the start of one run.
type begun struct {
	job     string
	tick    time.Time
	at      time.Time
	replica string
}

func newFleet(t *testing.T, nodes int) *fleet {
	return &fleet{t: t, servers: redlocktest.Servers(nodes)}
}

// replica is one process: its links, locker, adapter and cron.
type replica struct {
	*cron.Cron
	f      *fleet
	name   string
	skew   time.Duration
	nodes  []driver.Node
	locker *redlock.Locker
	a      *cronadapter.Adapter
	log    *logbook
}

// replica adds a replica, whose cron is not started and whose clock is ahead of the
// bubble's by skew.
func (f *fleet) replica(name string, skew time.Duration, opts ...cronadapter.Option) *replica {
	f.t.Helper()
	r := &replica{f: f, name: name, skew: skew, log: &logbook{}, nodes: redlocktest.Nodes(f.servers, name)}
	for _, n := range r.nodes {
		n.(*redlocktest.Node).Delay(f.latency/10, f.latency)
	}
	var err error
	r.locker, err = redlock.New(r.nodes, redlock.WithHolder(name), redlock.WithTokenFunc(tokens(name)), redlock.WithObserver(r.log.observe))
	if err != nil {
		f.t.Fatal(err)
	}
	if skew != 0 {
		opts = append(opts, cronadapter.WithClock(func() time.Time { return time.Now().Add(skew) }))
	}
	r.a, err = cronadapter.New(r.locker, opts...)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Cron = cron.New(cron.WithLogger(cron.DiscardLogger), cron.WithLocation(time.UTC))
	return r
}

// tokens are pseudo-random with a fixed seed, so that failures repeat.
func tokens(seed string) func() (string, error) {
	var mu sync.Mutex
	random := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32.32s", seed))))
	return func() (string, error) {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprintf("%016x", random.Uint64()), nil
	}
}

// add schedules a job that takes some time, on the replica's clock.
func (r *replica) add(job, spec string, work time.Duration, opts ...redlock.JobOption) {
	r.f.t.Helper()
	r.schedule(job, parse(r.f.t, spec), func(context.Context) error { time.Sleep(work); return nil }, opts...)
}

func (r *replica) schedule(job string, schedule cron.Schedule, f func(context.Context) error, opts ...redlock.JobOption) {
	r.f.t.Helper()
	j, err := r.a.NewJob(job, schedule, r.f.noting(r.name, job, f), opts...)
	if err != nil {
		r.f.t.Fatal(err)
	}
	r.Schedule(shifted{j, r.skew}, j)
}

// noting records the start of f.
func (f *fleet) noting(replica, job string, work func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		tick, ok := redlock.TickFrom(ctx)
		if !ok {
			f.t.Error("the job's context has no tick")
		}
		f.note(replica, job, tick)
		return work(ctx)
	}
}

func (f *fleet) note(replica, job string, tick time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs = append(f.runs, begun{job, tick, time.Now(), replica})
}

// claimed returns the tick for which a job's lock is held on the first node.
func (f *fleet) claimed(job string) time.Time {
	token, _ := f.servers[0].Get(job)
	return redlock.TickOf(token)
}

// leave shuts the replica down.
func (r *replica) leave() {
	r.f.t.Helper()
	<-r.a.Stop(r.Cron).Done()
	if err := r.locker.Close(context.Background()); err != nil {
		r.f.t.Error(err)
	}
}

// cut simulates a crash: nothing that the replica sends gets through any more.
func (r *replica) cut() {
	for _, n := range r.nodes {
		n.(*redlocktest.Node).Hang()
	}
}

// shifted is a schedule as a replica with a fast clock sees it: in real time every tick
// comes earlier, with the same name.
type shifted struct {
	cron.Schedule
	ahead time.Duration
}

func (s shifted) Next(t time.Time) time.Time {
	next := s.Schedule.Next(t.Add(s.ahead))
	if next.IsZero() {
		return next
	}
	return next.Add(-s.ahead)
}

// of returns the ticks of a job's runs, in order; a tick that ran twice is in it twice.
func (f *fleet) of(job string) (ticks []time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.runs {
		if r.job == job {
			ticks = append(ticks, r.tick)
		}
	}
	slices.SortFunc(ticks, time.Time.Compare)
	return ticks
}

func parse(t *testing.T, spec string) cron.Schedule {
	t.Helper()
	schedule, err := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return schedule
}

// chain returns the ticks of robfig/cron's schedule from one instant to another.
func chain(t *testing.T, spec string, zone *time.Location, from, to time.Time) (ticks []time.Time) {
	t.Helper()
	schedule := parse(t, spec)
	for next := schedule.Next(from.In(zone)); !next.IsZero() && !next.After(to); next = schedule.Next(next) {
		ticks = append(ticks, next.UTC())
	}
	return ticks
}

// same fails unless these ticks were run, each once.
func same(t *testing.T, what string, got, want []time.Time) {
	t.Helper()
	if slices.EqualFunc(got, want, time.Time.Equal) {
		return
	}
	runs, gone := map[time.Time]int{}, 0
	for _, tick := range got {
		runs[tick.UTC()]++
	}
	for _, tick := range want {
		if n := runs[tick.UTC()]; n != 1 {
			gone++
			if gone <= 5 {
				t.Errorf("%s: tick %s ran %d times, want once", what, tick.UTC().Format(time.RFC3339), n)
			}
		}
	}
	t.Errorf("%s: %d runs of %d ticks; %d ticks did not run once", what, len(got), len(want), gone)
}

func hasAll(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

func newLocalCron() *cron.Cron { return cron.New(cron.WithLogger(cron.DiscardLogger)) }

// wrapFunc adds a plain function under a wrapper of the job's own.
func (r *replica) wrapFunc(job, spec string, f func()) {
	r.f.t.Helper()
	must(r.f.t)(r.AddJob(spec, cron.NewChain(r.wrap(job)).Then(cron.FuncJob(f))))
}

// travel sleeps until an instant of the bubble's clock.
func travel(to time.Time) { time.Sleep(time.Until(to)) }

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// logbook keeps the events about ticks that did not run as planned.
// Its methods are called in a bubble.
type logbook struct {
	mu     sync.Mutex
	events []redlock.Event
}

func (b *logbook) observe(e redlock.Event) {
	switch e.Kind {
	case redlock.Refused, redlock.Lost, cronadapter.Warning:
	case redlock.Ended:
		if e.Result != "failed" { // a loss is told, and a panic goes on
			return
		}
	case redlock.Released:
		if e.Err == nil {
			return
		}
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

// take returns the events so far, and forgets them.
func (b *logbook) take() []redlock.Event {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = nil
	return events
}

// failures returns the events that are logged by default.
func (b *logbook) failures() (events []redlock.Event) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if !skip(e) {
			events = append(events, e)
		}
	}
	return events
}

// skip reports whether another replica has the tick, or the process ends.
func skip(e redlock.Event) bool { return e.Kind == redlock.Refused && e.Level() < slog.LevelInfo }
