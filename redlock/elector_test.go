package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

func newElector(t testing.TB, m *subject) *redlock.Elector {
	t.Helper()
	return must[*redlock.Elector](t)(redlock.NewElector(m.Mutex))
}

// leaders counts who leads, by asking everybody.
func leaders(ctx context.Context, electors []*redlock.Elector) (leading []int) {
	for i, e := range electors {
		if e.IsLeader(ctx) == nil {
			leading = append(leading, i)
		}
	}
	return leading
}

// A leader that is cut off stops leading before another is elected, which takes no longer than the TTL and one retry.
// Mutation: IsLeader answers from a stored flag.
func TestElector_failover(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		const ttl = 3 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		var electors []*redlock.Elector
		var processes []*process
		var all sync.WaitGroup
		for i := range 4 {
			p := fl.process(fmt.Sprintf("p%d", i), redlock.WithTTL(ttl))
			processes = append(processes, p)
			e := newElector(t, p.mutex(t, "leader"))
			electors = append(electors, e)
			all.Go(func() {
				if err := e.Run(ctx, nil); !errors.Is(err, context.Canceled) {
					t.Errorf("Run: %v, want Canceled", err)
				}
			})
		}
		time.Sleep(10 * time.Second)
		for range 5 {
			lead := leaders(ctx, electors)
			if len(lead) != 1 {
				t.Fatalf("leaders: %v, want one", lead)
			}
			if name := must[string](t)(electors[(lead[0]+1)%4].Leader(ctx)); name != fmt.Sprintf("p%d", lead[0]) {
				t.Errorf("Leader is %q, want p%d", name, lead[0])
			}
			for _, l := range processes[lead[0]].links {
				l.Hang()
			}
			cut := time.Now()
			for time.Since(cut) < ttl+time.Second {
				if now := leaders(ctx, electors); len(now) > 1 {
					t.Fatalf("two leaders: %v", now)
				} else if len(now) == 1 && now[0] != lead[0] {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if now := leaders(ctx, electors); len(now) != 1 || now[0] == lead[0] {
				t.Fatalf("%v after the cut the leaders are %v", time.Since(cut), now)
			}
			for _, l := range processes[lead[0]].links {
				l.Heal()
			}
			time.Sleep(10 * time.Second)
		}
		cancel()
		all.Wait()
	})
}

// IsLeader is false first, then the term's context ends, then lead returns, and only then the lease is released.
func TestElector_orderOfStepDown(t *testing.T) {
	for _, how := range []string{"resign", "stop", "lost"} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				p, other := fl.process("a", redlock.WithTTL(3*time.Second)), fl.process("b").mutex(t, "leader")
				e := newElector(t, p.mutex(t, "leader"))
				ctx, cancel := context.WithCancel(t.Context())
				terms := 0
				var all sync.WaitGroup
				all.Go(func() {
					_ = e.Run(ctx, func(term context.Context) error {
						if terms++; terms > 1 {
							<-term.Done()
							return nil
						}
						<-term.Done()
						if err := e.IsLeader(t.Context()); !errors.Is(err, redlock.ErrNotLeader) {
							t.Errorf("the term has ended and IsLeader says %v", err)
						}
						if how == "lost" && !errors.Is(context.Cause(term), redlock.ErrLost) {
							t.Errorf("cause is %v, want ErrLost", context.Cause(term))
						}
						time.Sleep(500 * time.Millisecond) // clearing up
						if how == "lost" {
							return nil
						}
						if _, err := other.TryLock(t.Context()); !errors.Is(err, redlock.ErrTaken) {
							t.Errorf("the lease was released before lead returned: %v", err)
						}
						return nil
					})
				})
				time.Sleep(time.Second)
				switch how {
				case "resign":
					e.Resign()
				case "stop":
					cancel()
					if e.IsLeader(t.Context()) == nil { // at once, not when a goroutine gets to it, perhaps in the next Run's term
						t.Error("Run's context has ended and the term has not")
					}
				case "lost":
					for _, l := range p.links {
						l.Hang()
					}
				}
				time.Sleep(10 * time.Second)
				for _, l := range p.links {
					l.Heal()
				}
				cancel()
				all.Wait()
				time.Sleep(3 * time.Second)
				if left := fl.locks("leader"); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		})
	}
}

// A leader that resigns is replaced at once, not after its ttl.
func TestElector_resignHandsOver(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		ctx, cancel := context.WithCancel(t.Context())
		var electors []*redlock.Elector
		var all sync.WaitGroup
		for i := range 3 {
			e := newElector(t, fl.process(fmt.Sprintf("p%d", i), redlock.WithTTL(time.Hour)).mutex(t, "leader"))
			electors = append(electors, e)
			all.Go(func() { _ = e.Run(ctx, nil) })
		}
		time.Sleep(time.Minute)
		for range 10 {
			before := leaders(ctx, electors)
			electors[before[0]].Resign()
			time.Sleep(50 * time.Millisecond)
			if after := leaders(ctx, electors); len(after) != 1 || after[0] == before[0] {
				t.Errorf("before %v, 50ms after resigning %v", before, after)
			}
			time.Sleep(time.Minute)
		}
		cancel()
		all.Wait()
	})
}

func TestElector_panicGoesOn(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		e := newElector(t, fl.process("a").mutex(t, "leader"))
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
			time.Sleep(time.Second)
			if left := fl.locks("leader"); len(left) > 0 || e.IsLeader(t.Context()) == nil {
				t.Errorf("left behind: %v", left)
			}
		}()
		_ = e.Run(t.Context(), func(context.Context) error { panic("boom") })
	})
}

func TestNewElector_refused(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		for name, m := range map[string]*redlock.Mutex{"nil": nil, "no renewal": fl.process("a").mutex(t, "x", redlock.WithoutRenewal()).Mutex} {
			if _, err := redlock.NewElector(m); !errors.Is(err, redlock.ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
	})
}

// A leader whose lock was released by force does not lead while it winds up:
// another one may have been elected.
//
// Seen to fail when the end of a lease leaves its validity as it was.
func TestElector_lostByForce(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		ctx, cancel := context.WithCancel(t.Context())
		p, q := fl.process("a"), fl.process("b")
		e, f := newElector(t, p.mutex(t, "leader")), newElector(t, q.mutex(t, "leader"))
		var all sync.WaitGroup
		all.Go(func() {
			_ = e.Run(ctx, func(term context.Context) error {
				<-term.Done()
				for range 150 { // winding up
					if err := e.IsLeader(t.Context()); !errors.Is(err, redlock.ErrNotLeader) {
						t.Fatalf("%v, and still a leader: %v", context.Cause(term), err)
					}
					time.Sleep(100 * time.Millisecond)
				}
				return nil
			})
		})
		time.Sleep(time.Second)
		all.Go(func() { _ = f.Run(ctx, nil) })
		inspector := q.inspector(t)
		info := must[*inspect.Info](t)(inspector.Show(ctx, "leader"))
		ok(t, inspector.Release(ctx, "leader", info.Token))
		time.Sleep(12 * time.Second) // until its next renewal it cannot know
		if now := leaders(ctx, []*redlock.Elector{e, f}); len(now) != 1 || now[0] != 1 {
			t.Errorf("leaders: %v, want the second alone", now)
		}
		time.Sleep(20 * time.Second)
		cancel()
		all.Wait()
	})
}

// A token function that fails does not make Run spin, and is reported.
//
// Seen to fail when Run tries again at once (for ever), and when the failure is no event.
func TestElector_tokenFunctionFails(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		tries, told := 0, 0
		broken := redlock.WithTokenFunc(func() (string, error) {
			if tries++; tries == 1 {
				return "the Locker's own", nil
			}
			return "", errors.New("no entropy")
		})
		p := fl.process("a", broken, redlock.WithObserver(func(e redlock.Event) {
			if e.Kind == redlock.Refused && strings.Contains(e.Err.Error(), "no entropy") {
				told++
			}
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		always50 := redlock.WithBackoff(func(int) time.Duration { return 50 * time.Millisecond })
		if err := newElector(t, p.mutex(t, "leader", always50)).Run(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run: %v, want DeadlineExceeded", err)
		}
		synctest.Wait()
		if tries < 10 || tries > 10_000 || told < tries-1 {
			t.Errorf("%d tries in a minute, %d of them told", tries, told)
		}
	})
}

// A leader whose work fails is a warning. One whose term ends is none.
//
// Seen to fail while stepping down was info, so that nothing told of a fleet whose leaders fail one after the other.
func TestElector_failedWorkIsWarned(t *testing.T) {
	for want, lead := range map[slog.Level]func(context.Context) error{
		slog.LevelWarn: func(context.Context) error { return errors.New("disk full") },
		slog.LevelInfo: func(term context.Context) error { <-term.Done(); return fmt.Errorf("ended: %w", term.Err()) },
	} {
		inBubble(t, 1, func(t *testing.T, fl *fleet) {
			var d diary
			e := newElector(t, fl.process("a", redlock.WithObserver(d.observe)).mutex(t, "leader"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			time.AfterFunc(5*time.Second, cancel)
			_ = e.Run(ctx, lead)
			synctest.Wait()
			for _, e := range d.events {
				if e.Kind == redlock.SteppedDown && e.Level() != want {
					t.Errorf("%v after %v, want %v", e.Level(), e.Err, want)
				}
			}
			if len(d.events) == 0 {
				t.Error("nobody was elected")
			}
		})
	}
}
