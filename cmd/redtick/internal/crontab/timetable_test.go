package crontab_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/cmd/redtick/internal/crontab"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// fleet is machines that share three nodes, in a bubble.
type fleet struct {
	t       *testing.T
	servers []*redlocktest.Server
	mu      sync.Mutex
	runs    []run
	refused int // ticks that were asked for in vain
}

type run struct {
	machine, name, command string
	tick                   time.Time
}

func newFleet(t *testing.T) *fleet {
	return &fleet{t: t, servers: redlocktest.Servers(3)}
}

// machine runs a crontab, each of its runs for so long.
type machine struct {
	*crontab.Timetable
	f      *fleet
	locker *redlock.Locker
}

func (f *fleet) machine(name string, lasts time.Duration, lines ...string) *machine {
	f.t.Helper()
	locker, err := redlock.New(redlocktest.Nodes(f.servers, name), redlock.WithHolder(name), redlock.WithObserver(f.observe))
	if err != nil {
		f.t.Fatal(err)
	}
	table, err := crontab.NewTimetable(locker, func(ctx context.Context, j crontab.Job) error {
		tick, _ := redlock.TickFrom(ctx)
		f.mu.Lock()
		f.runs = append(f.runs, run{name, j.Name, j.Command, tick})
		f.mu.Unlock()
		time.Sleep(lasts)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	m := &machine{table, f, locker}
	m.load(lines...)
	return m
}

func (f *fleet) observe(e redlock.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Kind == redlock.Refused {
		f.refused++
	}
}

func (m *machine) load(lines ...string) {
	m.f.t.Helper()
	if err := m.Load(parse(m.f.t, lines...)); err != nil {
		m.f.t.Fatal(err)
	}
}

func (m *machine) leave() {
	m.f.t.Helper()
	<-m.Stop()
	if err := m.locker.Close(context.Background()); err != nil {
		m.f.t.Error(err)
	}
}

// ticks returns the ticks for which a job was run, in order.
func (f *fleet) ticks(name string) (all []string) {
	for _, r := range f.all() {
		if r.name == name {
			all = append(all, r.tick.UTC().Format(time.RFC3339))
		}
	}
	slices.Sort(all)
	return all
}

// all returns all runs so far.
func (f *fleet) all() []run {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.runs)
}

func travel(to time.Time) { time.Sleep(time.Until(to)) }

func inBubble(t *testing.T, from string, test func(t *testing.T, f *fleet)) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, from)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		travel(at)
		test(t, newFleet(t))
	})
}

const night = `
CRON_TZ=Europe/Berlin
# redtick: name=half-past-two
30 2 * * *  x
# redtick: name=three
0 3 * * *  x
# redtick: name=daily
@daily x
# redtick: name=often
*/20 * * * *  x
# redtick: name=every
@every 7h  x
CRON_TZ=UTC
# redtick: name=utc
30 1 * * *  x
# redtick: name=seconds
15 30 1 * * *  x`

// On the days on which clocks change, two machines run what the schedules say,
// once each: an hour that is missing has no ticks, one that comes twice has
// all of them twice.
//
// Seen to fail when the zone is left out of the schedule (what follows the
// machine's is then run at other instants), and when a machine claims nothing.
func TestTimetable_clocks_change(t *testing.T) {
	for day, want := range map[string]map[string]string{
		"2026-03-29": {
			"half-past-two": "", "three": "2026-03-29T01:00:00Z", "daily": "2026-03-28T23:00:00Z",
			"utc": "2026-03-29T01:30:00Z", "seconds": "2026-03-29T01:30:15Z",
			"every": "2026-03-29T05:00:00Z 2026-03-29T12:00:00Z 2026-03-29T19:00:00Z",
		},
		"2026-10-25": {
			"half-past-two": "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z", "three": "2026-10-25T02:00:00Z", "daily": "2026-10-24T22:00:00Z",
			"utc": "2026-10-25T01:30:00Z", "seconds": "2026-10-25T01:30:15Z",
			"every": "2026-10-24T22:00:00Z 2026-10-25T05:00:00Z 2026-10-25T12:00:00Z 2026-10-25T19:00:00Z",
		},
	} {
		t.Run(day, func(t *testing.T) {
			berlin, err := time.LoadLocation("Europe/Berlin")
			if err != nil {
				t.Fatal(err)
			}
			begins, err := time.ParseInLocation(time.DateOnly, day, berlin)
			if err != nil {
				t.Fatal(err)
			}
			inBubble(t, begins.Add(-time.Second).Format(time.RFC3339), func(t *testing.T, f *fleet) {
				a, b := f.machine("a", time.Second, night), f.machine("b", time.Second, night)
				ends := begins.AddDate(0, 0, 1).Add(-time.Second)
				travel(ends)
				a.leave()
				b.leave()
				want["often"] = grid(begins, ends, 20*time.Minute)
				for name, ticks := range want {
					if got := strings.Join(f.ticks(name), " "); got != ticks {
						t.Errorf("%s ran for\n%s, want\n%s", name, got, ticks)
					}
				}
			})
		})
	}
}

func grid(from, to time.Time, step time.Duration) string {
	var all []string
	for at := from; at.Before(to); at = at.Add(step) {
		all = append(all, at.UTC().Format(time.RFC3339))
	}
	return strings.Join(all, " ")
}

const noon = "2026-06-01T12:00:00Z"

// A machine that dies leaves the ticks to the others.
func TestTimetable_machines_come_and_go(t *testing.T) {
	inBubble(t, noon, func(t *testing.T, f *fleet) {
		const lines = "# redtick: name=x\n*/5 * * * * * x"
		begins := time.Now().Add(5 * time.Second)
		a, b := f.machine("a", time.Millisecond, lines), f.machine("b", time.Millisecond, lines)
		time.Sleep(62 * time.Second)
		c := f.machine("c", time.Millisecond, lines)
		time.Sleep(62 * time.Second)
		a.leave()
		time.Sleep(62 * time.Second)
		if got, want := strings.Join(f.ticks("x"), " "), grid(begins, time.Now(), 5*time.Second); got != want {
			t.Errorf("ran for\n%s, want\n%s", got, want)
		}
		b.leave()
		c.leave()
	})
}

// stall is a schedule that blocks cron from shortly before each second until after it, as
// a busy machine may.
type stall struct{}

func (stall) Next(t time.Time) time.Time {
	if time.Now().Nanosecond() == 990e6 {
		time.Sleep(20 * time.Millisecond)
	}
	next := t.Truncate(time.Second).Add(990 * time.Millisecond)
	if !next.After(t) {
		next = next.Add(time.Second)
	}
	return next
}

// Lines that have not changed keep their ticks while the file is read again and
// again, also at the instant of a tick when cron is behind; a line that has
// changed goes on as the new one, with no tick lost and none run twice; one that
// is gone runs no more.
//
// Seen to fail when the adapter does not run what fell between the old job and
// the new, and when Load removes nothing.
func TestTimetable_load(t *testing.T) {
	for _, at := range []time.Duration{0, 300 * time.Millisecond} {
		t.Run(fmt.Sprint(at, " after a tick"), func(t *testing.T) {
			inBubble(t, noon, func(t *testing.T, f *fleet) { loadAgain(t, f, at) })
		})
	}
}

func loadAgain(t *testing.T, f *fleet, at time.Duration) {
	begins := time.Now().Add(time.Second)
	file := func(version int, more ...string) *crontab.File {
		file := parse(t, append(more, "# redtick: name=same", "* * * * * * same", "# redtick: name=changes", fmt.Sprint("* * * * * * version ", version))...)
		file.Jobs = append(file.Jobs, crontab.Job{Name: "stall", Schedule: stall{}})
		return file
	}
	m := f.machine("a", time.Millisecond)
	for version := range 30 {
		more := []string{"# moved"}
		if version == 0 {
			more = []string{"# redtick: name=gone", "* * * * * * gone"}
		}
		if err := m.Load(file(version, more...)); err != nil {
			t.Fatal(err)
		}
		travel(begins.Add(time.Duration(version)*time.Second + at))
	}
	time.Sleep(999*time.Millisecond - at)
	m.leave()
	for _, name := range []string{"same", "changes"} {
		if got, want := strings.Join(f.ticks(name), " "), grid(begins, time.Now().Add(-100*time.Millisecond), time.Second); got != want {
			t.Errorf("%s ran for\n%s, want\n%s", name, got, want)
		}
	}
	if got := f.ticks("gone"); len(got) > 1 {
		t.Errorf("a job that is gone ran for %v", got)
	}
	if !slices.ContainsFunc(f.all(), func(r run) bool { return r.command == "version 28" }) {
		t.Error("the last version did not run")
	}
}

// An unchanged line keeps its job, even if it is read again in another season.
//
// Seen to fail when schedules were compared: a time.Location remembers the offset of the day on which it was read.
func TestTimetable_load_in_summer(t *testing.T) {
	inBubble(t, "2026-03-01T00:00:00Z", func(t *testing.T, f *fleet) {
		lines := []string{"CRON_TZ=Europe/Berlin", "# redtick: name=x", "0 12 * * *  x"}
		m := f.machine("a", 0, lines...)
		travel(time.Date(2026, 6, 1, 10, 0, 0, 3e8, time.UTC)) // just after a tick, which another job would ask for again
		m.load(lines...)
		time.Sleep(time.Second)
		m.leave()
		if f.refused > 0 {
			t.Errorf("%d ticks were asked for again", f.refused)
		}
	})
}

// Runs of one line do not overlap, though a reload has changed what it runs. A
// run outlives the reload.
func TestTimetable_a_run_outlives_its_line(t *testing.T) {
	inBubble(t, noon, func(t *testing.T, f *fleet) {
		m := f.machine("a", 2500*time.Millisecond, "# redtick: name=x", "* * * * * * old")
		time.Sleep(1500 * time.Millisecond)
		m.load("# redtick: name=x", "* * * * * * new")
		time.Sleep(3 * time.Second)
		m.load()
		time.Sleep(10 * time.Second)
		var got []string
		for _, r := range f.all() {
			got = append(got, r.command+r.tick.Format(" 05"))
		}
		if want := "old 01, new 04"; strings.Join(got, ", ") != want {
			t.Errorf("ran %q, want %q", got, want)
		}
		m.leave()
	})
}

// A file that redlock refuses changes nothing.
//
// Seen to fail when Load adds before it has tried all jobs.
func TestTimetable_load_refuses(t *testing.T) {
	inBubble(t, noon, func(t *testing.T, f *fleet) {
		m := f.machine("a", 0, "# redtick: name=x", "* * * * * * x")
		bad := parse(t, "# redtick: name=y", "* * * * * * y")
		bad.Jobs = append(bad.Jobs, bad.Jobs[0])
		bad.Jobs[1].Name, bad.Jobs[1].Line = strings.Repeat("n", 2000), 7
		err := m.Load(bad)
		if err == nil || !strings.HasPrefix(err.Error(), "file: line 7: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want line 7 refused", err)
		}
		time.Sleep(2500 * time.Millisecond)
		m.leave()
		if len(f.ticks("x")) != 2 || len(f.ticks("y")) != 0 {
			t.Errorf("ran %+v", f.all())
		}
	})
}

// Two machines were both down: the newest missed tick is run once when they start. A new line has missed nothing.
//
// Seen to fail without the option.
func TestTimetable_catchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		start := time.Now()
		lines := []string{"CRON_TZ=UTC", "# redtick: defaults catchup=30m", "# redtick: name=job", "0 * * * * x", "# redtick: name=plain catchup=0", "0 * * * * x"}
		pair := func(names ...string) {
			for _, n := range names {
				m := f.machine(n, time.Second, lines...)
				defer m.leave()
			}
			time.Sleep(62 * time.Minute)
		}
		pair("a", "b")
		time.Sleep(time.Hour + 3*time.Minute)
		lines = append(lines, "# redtick: name=added", "0 * * * * x")
		pair("c", "d")
		var got []string
		for _, r := range f.runs {
			got = append(got, fmt.Sprint(r.name, r.tick.Sub(start).Hours()))
		}
		slices.Sort(got)
		if want := []string{"added3", "job1", "job2", "job3", "plain1", "plain3"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
