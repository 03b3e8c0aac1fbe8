package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func daily(tick time.Time) time.Time { return tick.Add(24 * time.Hour) }

// observed keeps a process's events.
type observed struct {
	mu     sync.Mutex
	events []redlock.Event
}

func (o *observed) option() redlock.LockerOption {
	return redlock.WithObserver(func(e redlock.Event) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.events = append(o.events, e)
	})
}

// of are the events of one kind and of at least this level.
func (o *observed) of(kind redlock.EventKind, least slog.Level) (events []redlock.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.events {
		if e.Kind == kind && e.Level() >= least {
			events = append(events, e)
		}
	}
	return events
}

// A daily job whose only Redis is down, or hangs, at its instant runs once when Redis is back.
//
// Seen to fail without WithLateness's default, and the long hang when aborts are owed for a TTL only.
func TestLateness_outage(t *testing.T) {
	for _, outage := range []time.Duration{5 * time.Second, 30 * time.Second, 300 * time.Second} {
		for name, ends := range map[string]func(fl *fleet, ps []*process) func(){
			"down": func(_ *fleet, ps []*process) func() {
				for _, p := range ps {
					p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
				}
				return func() {
					for _, p := range ps {
						p.links[0].Heal()
					}
				}
			},
			"hangs": func(fl *fleet, _ []*process) func() {
				fl.servers[0].Freeze()
				return fl.servers[0].Thaw
			},
		} {
			t.Run(fmt.Sprint(name, outage), func(t *testing.T) {
				inBubble(t, 1, func(t *testing.T, fl *fleet) {
					ps, told := lateFleet(fl, 3)
					heal := ends(fl, ps)
					tick := time.Now()
					runs, took := claimOnAll(t, ps, tick, func() { time.Sleep(outage); heal() })
					if runs != 1 || took < outage || took > outage+9*time.Second {
						t.Errorf("%d runs, after %v", runs, took)
					}
					synctest.Wait()
					late := 0
					for i, o := range told {
						if n := len(o.of(redlock.Refused, slog.LevelWarn)); n != 1 {
							t.Errorf("replica %d: %d warnings of the refusal", i, n)
						}
						for _, e := range o.of(redlock.Refused, slog.LevelError) {
							t.Errorf("replica %d: an error for what ended well: %+v", i, e)
						}
						for _, e := range o.of(redlock.Acquired, slog.LevelInfo) {
							if errors.Is(e.Err, redlock.ErrNoQuorum) && e.Duration >= outage {
								late++
							}
						}
					}
					if late != 1 {
						t.Errorf("%d replicas said that it ran late", late)
					}
				})
			})
		}
	}
}

func lateFleet(fl *fleet, n int, opts ...redlock.LockerOption) (ps []*process, told []*observed) {
	for i := range n {
		o := &observed{}
		ps = append(ps, fl.process(fmt.Sprint("replica-", i), append(opts, o.option())...))
		told = append(told, o)
	}
	return ps, told
}

// claimOnAll has every replica claim the tick of a daily job while meanwhile runs, and says how many ran it and when.
func claimOnAll(t *testing.T, ps []*process, tick time.Time, meanwhile func()) (runs int, took time.Duration) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, p := range ps {
		j := must[*redlock.Job](t)(p.NewJob("report", redlock.WithSchedule("daily", daily)))
		all.Go(func() {
			_ = j.Run(t.Context(), tick, func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				runs++
				took = time.Since(tick)
				return nil
			})
		})
	}
	meanwhile()
	all.Wait()
	return runs, took
}

// Seen to fail when only the lateness ends the questions, when the first ones go on for six node timeouts, and when a pause may
// lead beyond the end.
func TestLateness_endsBeforeTheNextTick(t *testing.T) {
	for _, c := range []struct {
		interval, least, most time.Duration
		refusals              int // of each tick
	}{
		{time.Second, 500 * time.Millisecond, 1500 * time.Millisecond, 1},
		{10 * time.Second, 5 * time.Second, 10 * time.Second, 2},
		{time.Minute, 50 * time.Second, time.Minute, 2},
	} {
		t.Run(c.interval.String(), func(t *testing.T) {
			inBubble(t, 1, func(t *testing.T, fl *fleet) {
				ps, told := lateFleet(fl, 1)
				ps[0].links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
				next := func(tick time.Time) time.Time { return tick.Add(c.interval) }
				j := must[*redlock.Job](t)(ps[0].NewJob("job", redlock.WithSchedule("some", next)))
				for range 10 {
					tick := time.Now()
					_, err := j.Claim(t.Context(), tick)
					took := time.Since(tick)
					if !errors.Is(err, redlock.ErrNoQuorum) || strings.Contains(err.Error(), "asked again for ") != (c.refusals == 2) || took < c.least || took > c.most {
						t.Errorf("after %v: %v", took, err)
					}
					time.Sleep(c.interval)
				}
				synctest.Wait()
				if n := len(told[0].of(redlock.Refused, slog.LevelDebug)); n != 10*c.refusals {
					t.Errorf("%d refusals, want %d of 10 ticks", n, 10*c.refusals)
				}
			})
		})
	}
}

// However many claims ask again, their pauses keep no other from asking. Seen to fail, after 7 s, when a claim held its slot in
// the pauses of the first six node timeouts.
func TestLateness_pausesHoldNoSlot(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		ps, _ := lateFleet(fl, 1)
		ps[0].links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		const slots = 1024
		begin := time.Now()
		var all sync.WaitGroup
		for i := range 2 * slots {
			j := must[*redlock.Job](t)(ps[0].NewJob(fmt.Sprint("job-", i)))
			all.Go(func() {
				if _, err := j.Claim(t.Context(), begin); !errors.Is(err, redlock.ErrNoQuorum) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("all ended after %v, want soon after six node timeouts, 3s", took)
		}
	})
}

// A claim does not ask again after the answer of a quorum, or after an error that cannot go away by itself.
func TestLateness_answersStand(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a", redlock.WithLateness(5*time.Minute))
		j := must[*redlock.Job](t)(p.NewJob("job"))
		ops := fl.inspector("ops")
		begin := time.Now()
		ok(t, ops.Pause(t.Context(), "job", inspect.Pause{}))
		_, err := j.Claim(t.Context(), begin)
		expectPaused(t, err)
		ok(t, ops.Resume(t.Context(), "job"))
		ok(t, must[*redlock.Lease](t)(j.Claim(t.Context(), begin)).Unlock(t.Context()))
		if _, err := j.Claim(t.Context(), begin); !errors.Is(err, redlock.ErrTickDone) {
			t.Errorf("%v, want ErrTickDone", err)
		}
		for _, l := range p.links {
			l.Inject(-1, redlocktest.Fault{Err: errors.New("NOPERM this user has no permissions to run the 'evalsha' command")})
		}
		if _, err := j.Claim(t.Context(), begin.Add(time.Second)); !errors.Is(err, redlock.ErrNoQuorum) {
			t.Errorf("%v, want ErrNoQuorum", err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// Seen to fail when the pause looks at one of the two only.
func TestLateness_endsWithItsCaller(t *testing.T) {
	for name, end := range map[string]func(cancel func(), p *process){
		"context": func(cancel func(), _ *process) { cancel() },
		"close":   func(_ func(), p *process) { _ = p.Close(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(t *testing.T, fl *fleet) {
				p := fl.process("a", redlock.WithLateness(10*time.Minute))
				p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
				j := must[*redlock.Job](t)(p.NewJob("job"))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				failed := make(chan error)
				go func() {
					_, err := j.Claim(ctx, time.Now())
					failed <- err
				}()
				time.Sleep(time.Minute + time.Second/3)
				synctest.Wait()
				ended := time.Now()
				go end(cancel, p)
				err := <-failed
				if !errors.Is(err, context.Canceled) && !errors.Is(err, redlock.ErrClosed) || !errors.Is(err, redlock.ErrNoQuorum) {
					t.Errorf("ended with %v", err)
				}
				if took := time.Since(ended); took > time.Second { // a question may be under way
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestLateness_options(t *testing.T) {
	for _, c := range []struct {
		opts []redlock.JobOption
		says string
	}{
		{[]redlock.JobOption{redlock.WithLateness(-time.Second)}, "lateness is -1s, must be 0 (off) or more"},
		{[]redlock.JobOption{redlock.WithLateness(time.Hour), redlock.WithRetention(time.Hour)}, "less than the retention (1h0m0s)"},
		{[]redlock.JobOption{redlock.WithLateness(31 * 24 * time.Hour)}, "lateness is 744h0m0s"},
		{[]redlock.JobOption{redlock.WithCatchUp(time.Hour), redlock.WithRetention(time.Hour)}, "catch-up is 1h0m0s"},
		{[]redlock.JobOption{redlock.WithCatchUp(-1)}, "catch-up is -1ns"},
		{[]redlock.JobOption{redlock.WithHandicap(30 * time.Second), redlock.WithSpread(10 * time.Second), redlock.WithRetention(60 * time.Second)}, "handicap 30s"}, // each tick would be stale
		{[]redlock.JobOption{redlock.WithHandicap(30 * time.Second), redlock.WithSpread(10 * time.Second), redlock.WithRetention(61 * time.Second)}, ""},
		{[]redlock.JobOption{redlock.WithCatchUp(time.Hour), redlock.WithAnyOrder()}, "WithCatchUp and WithAnyOrder exclude each other"},
		{[]redlock.JobOption{redlock.WithLateness(7 * time.Hour), redlock.WithCatchUp(8 * time.Hour)}, ""},
		{[]redlock.JobOption{redlock.WithSchedule("", daily), redlock.WithRetention(time.Minute)}, ""},
	} {
		l, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "a"))
		ok(t, err)
		_, err = l.NewJob("job", c.opts...)
		if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%v, want %q", err, c.says)
		}
	}
}

// A server that hangs executes the votes in its sockets when it resumes. The claim that sent them takes them back, however
// long the hang: else a tick would be its own former vote's for the retention.
//
// Seen to fail in 43 of 160 set-ups when such a vote is chased for a TTL and a minute only.
func TestLateness_hungVotes(t *testing.T) {
	for _, timeout := range []time.Duration{20 * time.Millisecond, 50 * time.Millisecond, 130 * time.Millisecond, 500 * time.Millisecond} {
		for phase := range 10 {
			inBubble(t, 1, func(t *testing.T, fl *fleet) {
				ps, _ := lateFleet(fl, 1, redlock.WithNodeTimeout(timeout), redlock.WithTTL(10*time.Second))
				m := must[*redlock.Mutex](t)(ps[0].NewMutex("other"))
				fl.servers[0].Freeze()
				tick := time.Now()
				others := func() { // they make the batches in which the votes go out
					for range 20 {
						_, _ = m.TryLock(t.Context())
						time.Sleep(time.Duration(phase) * 29 * time.Millisecond)
					}
				}
				go others()
				if runs, _ := claimOnAll(t, ps, tick, func() { time.Sleep(5 * time.Minute); fl.servers[0].Thaw() }); runs != 1 {
					t.Errorf("node timeout %v, phase %d: %d runs", timeout, phase, runs)
				}
			})
		}
	}
}

// Nodes that answer with errors for long are not sent more and more of what takes back votes that they refused.
//
// Seen to fail when the abort of a vote that was answered with an error is owed for as long as the claim waits.
func TestLateness_refusedVotes(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a", redlock.WithTTL(time.Second))
		j := must[*redlock.Job](t)(p.NewJob("job", redlock.WithLateness(6*time.Minute)))
		var commands atomic.Int64
		for i, s := range fl.servers {
			s.Answer("LOADING")
			p.links[i].OnBatch(func(batch []driver.Command) redlocktest.Fault {
				commands.Add(int64(len(batch)))
				return redlocktest.Fault{}
			})
		}
		refused := make(chan error, 1)
		go func() {
			_, err := j.Claim(t.Context(), time.Now())
			refused <- err
		}()
		time.Sleep(time.Minute)
		first := commands.Swap(0)
		time.Sleep(4 * time.Minute)
		if last := commands.Load() / 4; last > 2*first {
			t.Errorf("%d commands in the first minute, then %d in each", first, last)
		}
		if err := <-refused; !errors.Is(err, redlock.ErrNoQuorum) {
			t.Errorf("%v, want ErrNoQuorum", err)
		}
	})
}

// A claim that was reported to ask again also reports when that has become useless.
//
// Seen to fail while the reason told was compared alone: "no quorum" had been told.
func TestLateness_permanentInTheEnd(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var o observed
		p := fl.process("a", o.option())
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		time.AfterFunc(time.Minute, func() {
			p.links[0].Heal()
			p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("NOAUTH Authentication required.")})
		})
		_, err := must[*redlock.Job](t)(p.NewJob("job", redlock.WithSchedule("daily", daily))).Claim(t.Context(), time.Now())
		synctest.Wait()
		told := o.of(redlock.Refused, slog.LevelError)
		if len(told) != 1 || told[0].Err != err || !strings.Contains(err.Error(), "set the client's password") {
			t.Errorf("%v was told of %v", told, err)
		}
		p.links[0].Heal()
	})
}

// A schedule whose next tick is not after the tick is no reason to give the tick up.
//
// Seen to fail while only the zero time meant that it is not known.
func TestLateness_nextGoesBack(t *testing.T) {
	for _, by := range []time.Duration{0, time.Millisecond, time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			inBubble(t, 1, func(t *testing.T, fl *fleet) {
				p := fl.process("a")
				p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
				time.AfterFunc(time.Minute, p.links[0].Heal)
				j := must[*redlock.Job](t)(p.NewJob("job", redlock.WithSchedule("odd", func(tick time.Time) time.Time { return tick.Add(-by) })))
				ok(t, must[*redlock.Lease](t)(j.Claim(t.Context(), time.Now())).Unlock(t.Context()))
			})
		})
	}
}
