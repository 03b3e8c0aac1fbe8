package redlock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// diary collects events.
type diary struct {
	mu     sync.Mutex
	events []redlock.Event
}

func (d *diary) observe(e redlock.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

// kinds lists what was observed of a name, or of the nodes.
func (d *diary) kinds(name string) (kinds []redlock.EventKind) {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.Name == name {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

func wantKinds(t *testing.T, got []redlock.EventKind, want ...redlock.EventKind) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("observed %v, want %v", got, want)
		}
	}
}

func TestObserver_lifeOfALease(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		var d diary
		p := fl.process("a", redlock.WithObserver(d.observe), redlock.WithTTL(3*time.Second))
		m := p.mutex(t, "job")
		lease := must[*redlock.Lease](t)(m.Lock(t.Context()))
		time.Sleep(1500 * time.Millisecond)
		_, err := m.TryLock(t.Context())
		ok(t, lease.Unlock(t.Context()))
		wantKinds(t, d.kinds("job"), redlock.Acquired, redlock.Renewed, redlock.Refused, redlock.Released)
		refusal := d.events[2]
		if !errors.Is(refusal.Err, redlock.ErrTaken) || refusal.Holder != lease.Token() || redlock.HolderOf(refusal.Token) != "a" || refusal.Err.Error() != err.Error() {
			t.Errorf("refusal: %+v", refusal)
		}
		if d.events[3].Duration < 1500*time.Millisecond || d.events[0].At.IsZero() {
			t.Errorf("release: %+v", d.events[3])
		}

		lease = must[*redlock.Lease](t)(p.mutex(t, "lost").Lock(t.Context()))
		for _, l := range p.links {
			l.Hang()
		}
		<-lease.Context().Done()
		time.Sleep(10 * time.Second)
		for _, l := range p.links {
			l.Heal()
		}
		_ = lease.Unlock(t.Context())
		time.Sleep(10 * time.Second)
		kinds := d.kinds("lost")
		if kinds[0] != redlock.Acquired || kinds[len(kinds)-1] != redlock.Lost || kinds[1] != redlock.RenewFailed {
			t.Errorf("observed %v, want acquired, renew_failed…, lost", kinds)
		}
		out, back := 0, 0
		for _, k := range d.kinds("") {
			out += map[redlock.EventKind]int{redlock.NodeOut: 1}[k]
			back += map[redlock.EventKind]int{redlock.NodeBack: 1}[k]
		}
		if out != 3 || back != 3 {
			t.Errorf("nodes went out %d times and came back %d times, want 3 and 3: %v", out, back, d.kinds(""))
		}
	})
}

// A node that answers but refuses its vote is out as well, though it is asked each time.
//
// Seen to fail when each answer counts as being back, and when only silence counts.
func TestNodeOut_refusals(t *testing.T) {
	for _, code := range []string{"READONLY", "OOM", "MISCONF", "LOADING", "BUSY"} {
		t.Run(code, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				var d diary
				m := fl.process("a", redlock.WithObserver(d.observe)).mutex(t, "job")
				pairs := func() {
					for range 20 {
						lease := must[*redlock.Lease](t)(m.TryLock(t.Context()))
						_, _ = m.Holder(t.Context()) // a question, which a replica answers
						waiting, giveUp := context.WithTimeout(t.Context(), 100*time.Millisecond)
						_, _ = m.Lock(waiting)
						giveUp()
						ok(t, lease.Unlock(t.Context()))
						time.Sleep(time.Second)
					}
				}
				fl.servers[0].Answer(code)
				pairs()
				wantKinds(t, d.kinds(""), redlock.NodeOut)
				if out := d.events[slices.IndexFunc(d.events, func(e redlock.Event) bool { return e.Kind == redlock.NodeOut })]; !strings.Contains(fmt.Sprint(out.Err), code) {
					t.Errorf("told of node %q: %v", out.Node, out.Err)
				}
				fl.servers[0].Answer("")
				pairs()
				wantKinds(t, d.kinds(""), redlock.NodeOut, redlock.NodeBack)
			})
		})
	}
}

// A read-only replica refuses to grant a tick, but can tell that one is done. It stays out.
//
// Seen to fail when each answer to a vote counts as being back: 20 times.
func TestNodeOut_replica(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		var d diary
		a, b := fl.process("a", redlock.WithObserver(d.observe)).mutex(t, "job"), fl.process("b").mutex(t, "job")
		for n := range 80 {
			replica, winner, loser := "READONLY", a, b
			if n%4 == 3 {
				replica, winner, loser = "", b, a // the loser's vote would write nothing there
			}
			fl.servers[0].Answer(replica)
			tick := time.Now()
			lease := must[*redlock.Lease](t)(winner.Claim(t.Context(), tick))
			time.Sleep(time.Second)
			ok(t, lease.Unlock(t.Context()))
			if _, err := loser.Claim(t.Context(), tick); !errors.Is(err, redlock.ErrTickDone) {
				t.Fatal(err)
			}
		}
		wantKinds(t, d.kinds(""), redlock.NodeOut)
	})
}

// A panicking or slow observer hurts no lease, and what it missed is counted.
func TestObserver_misbehaves(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		calls, missed := 0, 0
		p := fl.process("a", redlock.WithObserver(func(e redlock.Event) {
			calls++
			missed += e.Missed
			if calls%2 == 0 {
				panic("boom")
			}
			time.Sleep(time.Minute)
		}))
		m := p.mutex(t, "job")
		begin := time.Now()
		for range 2000 {
			ok(t, must[*redlock.Lease](t)(m.TryLock(t.Context())).Unlock(t.Context()))
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("a slow observer cost %v", took)
		}
		time.Sleep(48 * time.Hour)
		ok(t, must[*redlock.Lease](t)(m.TryLock(t.Context())).Unlock(t.Context())) // its event says how many were missed
		time.Sleep(time.Hour)
		synctest.Wait()
		if calls+missed < 4000 || missed == 0 {
			t.Errorf("%d events told, %d missed, want 4000 in all", calls, missed)
		}
	})
}

// An observer's panic is logged.
//
// Seen to fail when its panic is recovered and forgotten.
func TestObserver_panicIsLogged(t *testing.T) {
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		p := fl.process("a", redlock.WithObserver(func(redlock.Event) { panic("boom") }))
		ok(t, must[*redlock.Lease](t)(p.mutex(t, "job").TryLock(t.Context())).Unlock(t.Context()))
		synctest.Wait()
	})
	for _, want := range []string{"level=ERROR", "panic=boom", "event=acquired", "event=released", "name=job", "observer_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in the log:\n%s", want, log.String())
		}
	}
}

// Close has the observer told the last events, and does not wait for one that hangs.
//
// Seen to fail when Close does not wait for the observer, and when it waits without a limit.
func TestObserver_lastWords(t *testing.T) {
	for _, c := range []struct {
		name   string
		takes  time.Duration
		told   int
		closed bool
	}{
		{"slow", 100 * time.Millisecond, 2, true},
		{"hangs", time.Hour, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told atomic.Int32
				l := must[*redlock.Locker](t)(redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "a"),
					redlock.WithObserver(func(redlock.Event) { time.Sleep(c.takes); told.Add(1) })))
				m := subjectOn(t, l, "job")
				ok(t, must[*redlock.Lease](t)(m.TryLock(t.Context())).Unlock(t.Context()))
				begin := time.Now()
				if err := l.Close(t.Context()); (err == nil) != c.closed || int(told.Load()) != c.told || time.Since(begin) > time.Second {
					t.Errorf("Close: %v after %v, with %d events told; want %d", err, time.Since(begin), told.Load(), c.told)
				}
				time.Sleep(3 * time.Hour)
			})
		})
	}
}

// Without an observer, an event costs no allocation.
//
// Seen to fail when the event is copied before it looks for an observer.
func TestObserver_unusedCostsNothing(t *testing.T) {
	l := must[*redlock.Locker](t)(redlock.New([]driver.Node{&silent{}}))
	err := errors.New("some reason")
	if n := testing.AllocsPerRun(100, func() {
		l.Report(redlock.Event{Kind: redlock.Released, Name: "job", Token: "a/b", Duration: time.Second, Err: err})
	}); n != 0 {
		t.Errorf("%v allocations for an event nobody is told of", n)
	}
	ok(t, l.Close(t.Context()))
}

func TestLog(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		var out bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		a, b := fl.process("api-1").mutex(t, "report"), fl.process("api-2", redlock.WithObserver(redlock.Log(logger)))
		tick := time.Now()
		must[*redlock.Lease](t)(a.Claim(t.Context(), tick))
		time.Sleep(time.Second)
		_, _ = b.mutex(t, "report").Claim(t.Context(), tick)
		_, _ = b.mutex(t, "report").Claim(t.Context(), tick.Add(time.Second))
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		for i, parts := range [][]string{
			{"level=DEBUG", "name=report", "tick=2000-01-01T00:00:00Z", "holder=api-1", "tick already claimed"},
			{"level=DEBUG", "name=report", "tick=2000-01-01T00:00:01Z", "holder=api-1", "taken by another owner"},
		} {
			for _, part := range parts {
				if i >= len(lines) || !strings.Contains(lines[i], part) {
					t.Fatalf("line %d does not say %q:\n%s", i+1, part, out.String())
				}
			}
		}
	})
}

// Seen to fail while a release that had failed was a warning with the word "released".
func TestLog_release(t *testing.T) {
	for want, reason := range map[string]error{"redtick: released": nil, "redtick: release not confirmed by a majority": redlock.ErrNoQuorum} {
		var out bytes.Buffer
		redlock.Log(slog.New(slog.NewTextHandler(&out, nil)))(redlock.Event{Kind: redlock.Released, Name: "job", Err: reason})
		if !strings.Contains(out.String(), want) {
			t.Errorf("with the error %v: %q, want %q", reason, out.String(), want)
		}
	}
}

// A node that was out is noticed when it is back, also by a Locker that has nothing to do. It is asked seldom, and not after Close.
//
// Seen to fail while only a call or a release that was owed asked it: with a daily job it counted as out for a day.
func TestObserver_nodeBackWhileIdle(t *testing.T) {
	for name, fault := range map[string]redlocktest.Fault{"refuses": {Err: errors.New("connection refused")}, "hangs": {DropRequest: true}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				var d diary
				p := fl.process("a", redlock.WithObserver(d.observe))
				m, asked := p.mutex(t, "job"), new(atomic.Int64)
				count := func([]driver.Command) redlocktest.Fault { asked.Add(1); return fault }
				p.links[2].OnBatch(count)
				for range 5 {
					ok(t, m.Mutex.Do(t.Context(), func(context.Context) error { return nil }))
					time.Sleep(5 * time.Second)
				}
				time.Sleep(10 * time.Minute)
				if kinds := d.kinds(""); !slices.Contains(kinds, redlock.NodeOut) || slices.Contains(kinds, redlock.NodeBack) {
					t.Fatalf("while it is out: %v", kinds)
				}
				asked.Store(0)
				time.Sleep(time.Hour)
				if n := asked.Load(); n == 0 || n > 1000 {
					t.Errorf("it was asked %d times in an hour", n)
				}
				p.links[2].Heal()
				time.Sleep(10 * time.Second)
				if kinds := d.kinds(""); !slices.Contains(kinds, redlock.NodeBack) {
					t.Errorf("after it is back: %v", kinds)
				}
				p.links[2].OnBatch(count)
				for range 5 {
					ok(t, m.Mutex.Do(t.Context(), func(context.Context) error { return nil }))
					time.Sleep(5 * time.Second)
				}
				ok(t, p.Close(t.Context()))
				asked.Store(0)
				time.Sleep(time.Hour)
				if n := asked.Load(); n > 0 {
					t.Errorf("it was asked %d times after Close", n)
				}
			})
		})
	}
}
