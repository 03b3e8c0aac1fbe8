package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

// runsOf are a job's runs as "holder result error", newest first.
func (fl *fleet) runsOf(name string) (lines []string) {
	fl.t.Helper()
	synctest.Wait()
	for _, r := range must[*inspect.Runs](fl.t)(fl.inspector("ops").Runs(fl.t.Context(), name)).Runs {
		lines = append(lines, strings.TrimSpace(r.Holder+" "+r.Result+" "+r.Error))
	}
	return lines
}

func expectRuns(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// noted counts the entries of a job's history on each server.
func (fl *fleet) noted(name string) (counts []int64) {
	synctest.Wait()
	for _, s := range fl.servers {
		n, _ := s.Do("ZCARD", name+":redtick:{"+name+"}:runs").Value.(int64)
		counts = append(counts, n)
	}
	return counts
}

func TestHistory_results(t *testing.T) {
	long := strings.Repeat("ä", 150) // 300 bytes
	for name, c := range map[string]struct {
		run  func(t *testing.T, j *redlock.Job, tick time.Time)
		want string
	}{
		"ok": {func(t *testing.T, j *redlock.Job, tick time.Time) {
			ok(t, j.Run(t.Context(), tick, func(context.Context) error { return nil }))
		}, "a ok"},
		"failed": {func(t *testing.T, j *redlock.Job, tick time.Time) {
			_ = j.Run(t.Context(), tick, func(context.Context) error { return errors.New("disk full") })
		}, "a failed disk full"},
		"long error": {func(t *testing.T, j *redlock.Job, tick time.Time) {
			_ = j.Run(t.Context(), tick, func(context.Context) error { return errors.New("x" + long) })
		}, "a failed x" + long[:198]},
		"panicked": {func(t *testing.T, j *redlock.Job, tick time.Time) {
			defer func() {
				if v := recover(); v != "boom" {
					t.Errorf("the panic became %v", v)
				}
			}()
			_ = j.Run(t.Context(), tick, func(context.Context) error { panic("boom") })
		}, "a panicked panic: boom"},
		"goexit": {func(t *testing.T, j *redlock.Job, tick time.Time) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = j.Run(t.Context(), tick, func(context.Context) error { runtime.Goexit(); return nil })
			}()
			<-done
		}, "a panicked the function called runtime.Goexit"},
		"unstated": {func(t *testing.T, j *redlock.Job, tick time.Time) {
			ok(t, must[*redlock.Lease](t)(j.Claim(t.Context(), tick)).Unlock(t.Context()))
		}, "a ended"},
		"stated": {func(t *testing.T, j *redlock.Job, tick time.Time) {
			lease := must[*redlock.Lease](t)(j.Claim(t.Context(), tick))
			lease.SetResult(errors.New("no"))
			lease.SetResult(nil)
			ok(t, lease.Unlock(t.Context()))
		}, "a ok"},
		"lost": {func(t *testing.T, j *redlock.Job, tick time.Time) {
			lease := must[*redlock.Lease](t)(j.Claim(t.Context(), tick))
			synctest.Wait()
			time.Sleep(time.Minute)
			if err := lease.Unlock(t.Context()); !errors.Is(err, redlock.ErrLost) {
				t.Error(err)
			}
		}, "a lost its validity has ended, and under WithoutRenewal only Extend prolongs it"},
		"running": {func(t *testing.T, j *redlock.Job, tick time.Time) {
			lease := must[*redlock.Lease](t)(j.Claim(t.Context(), tick))
			t.Cleanup(func() { _ = lease })
			time.Sleep(confirmed)
		}, "a running"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				var opts []redlock.JobOption
				if name == "lost" {
					opts = append(opts, redlock.WithoutRenewal())
				}
				j := must[*redlock.Job](t)(fl.process("a").NewJob("job", opts...))
				c.run(t, j, time.Now())
				expectRuns(t, fl.runsOf("job"), c.want)
			})
		})
	}
}

// A run has one entry on every server, also where its release overtakes the claim's confirm, which waits behind a slow vote. A copy
// of a release adds none.
func TestHistory_oneEntryForEachRun(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a := fl.process("a")
		j := must[*redlock.Job](t)(a.NewJob("job"))
		for k := range 5 {
			if k == 3 {
				for _, l := range a.links {
					l.Inject(2, again(50*time.Millisecond))
				}
			}
			takes := time.Second
			if k == 0 {
				a.links[2].Delay(20*time.Millisecond, 20*time.Millisecond)
				takes = 15 * time.Millisecond
			}
			lease := must[*redlock.Lease](t)(j.Claim(t.Context(), time.Now()))
			time.Sleep(takes)
			ok(t, lease.Unlock(t.Context()))
			time.Sleep(time.Second)
			a.links[2].Delay(0, 0)
			if got := fmt.Sprint(fl.noted("job")); got != fmt.Sprintf("[%d %[1]d %[1]d]", k+1) {
				t.Errorf("after %d runs the servers have %s entries", k+1, got)
			}
		}
	})
}

func TestHistory_keepsTheNewest(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		j := must[*redlock.Job](t)(fl.process("a").NewJob("job", redlock.WithHistory(3)))
		var ticks []time.Time
		for range 5 {
			ticks = append(ticks, time.Now().UTC())
			ok(t, must[*redlock.Lease](t)(j.Claim(t.Context(), time.Now())).Unlock(t.Context()))
			time.Sleep(time.Second)
		}
		runs := must[*inspect.Runs](t)(fl.inspector("ops").Runs(t.Context(), "job")).Runs
		if len(runs) != 3 || !runs[0].Tick.Equal(ticks[4]) || !runs[2].Tick.Equal(ticks[2]) {
			t.Errorf("%+v", runs)
		}
	})
}

// Claimers that die again and again leave no more than that either.
func TestHistory_ofTheDeadIsBounded(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		j := must[*redlock.Job](t)(fl.process("a").NewJob("job", redlock.WithHistory(3), redlock.WithoutRenewal()))
		for range 5 {
			must[*redlock.Lease](t)(j.Claim(t.Context(), time.Now()))
			time.Sleep(time.Minute)
		}
		expectRuns(t, fl.runsOf("job"), "a vanished", "a vanished", "a vanished")
	})
}

func TestHistory_off(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		var ended []redlock.Event
		a := fl.process("a", redlock.WithHistory(0), redlock.WithObserver(func(e redlock.Event) {
			if e.Kind == redlock.Ended {
				ended = append(ended, e)
			}
		}))
		j := must[*redlock.Job](t)(a.NewJob("job"))
		ok(t, must[*redlock.Lease](t)(j.Claim(t.Context(), time.Now())).Unlock(t.Context()))
		time.Sleep(time.Second)
		_ = j.Run(t.Context(), time.Now(), func(context.Context) error { return errors.New("no") })
		if got := fmt.Sprint(fl.noted("job")); got != "[0 0 0]" {
			t.Errorf("noted %s", got)
		}
		if len(ended) != 1 || ended[0].Result != "failed" {
			t.Errorf("only the stated result is told: %+v", ended)
		}
	})
}

// A quarterly job that is caught up on needs its newest tick for longer than the least lifetime, also without a history.
//
// Seen to fail while the next tick was only asked for if there was a history.
func TestCatchUp_withoutHistory(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		const quarter = 91 * 24 * time.Hour
		j := must[*redlock.Job](t)(fl.process("a").NewJob("job", redlock.WithHistory(0), redlock.WithCatchUp(time.Hour),
			redlock.WithSchedule("quarterly", func(tick time.Time) time.Time { return tick.Add(quarter) })))
		tick := time.Now()
		ok(t, j.Run(t.Context(), tick, func(context.Context) error { return nil }))
		time.Sleep(quarter + time.Minute)
		if missed := must[time.Time](t)(j.Missed(t.Context(), func() time.Time { return tick.Add(quarter) })); missed.IsZero() {
			t.Error("the second tick was not missed")
		}
	})
}

func TestHistory_withoutErrorText(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		j := must[*redlock.Job](t)(fl.process("a").NewJob("job", redlock.WithoutErrorText()))
		_ = j.Run(t.Context(), time.Now(), func(context.Context) error { return errors.New("password is hunter2") })
		expectRuns(t, fl.runsOf("job"), "a failed")
	})
}

// A take-over is two runs of one tick: the first one's end was never reported.
func TestHistory_takeover(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a := fl.process("a", redlock.WithTakeover())
		b := fl.process("b", redlock.WithTakeover())
		tick := time.Now()
		must[*redlock.Lease](t)(must[*redlock.Job](t)(a.NewJob("job")).Claim(t.Context(), tick))
		time.Sleep(confirmed)
		expectRuns(t, fl.runsOf("job"), "a running")
		for _, l := range a.links { // it was killed
			l.Hang()
		}
		ok(t, must[*redlock.Job](t)(b.NewJob("job")).Run(t.Context(), tick, func(context.Context) error { return nil }))
		expectRuns(t, fl.runsOf("job"), "b ok", "a vanished")
		for _, l := range a.links {
			l.Heal()
		}
	})
}

// An abandoned tick may be run again, and the history has both runs.
func TestHistory_abandoned(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		j := must[*redlock.Job](t)(fl.process("a", redlock.WithTakeover()).NewJob("job"))
		tick := time.Now()
		ok(t, must[*redlock.Lease](t)(j.Claim(t.Context(), tick)).Abandon(t.Context()))
		time.Sleep(time.Second)
		ok(t, j.Run(t.Context(), tick, func(context.Context) error { return nil }))
		expectRuns(t, fl.runsOf("job"), "a ok", "a abandoned")
	})
}

func TestHistory_scheduleAndOverdue(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		const month = 30 * 24 * time.Hour
		a := fl.process("a")
		j := must[*redlock.Job](t)(a.NewJob("job", redlock.WithSchedule("monthly", func(tick time.Time) time.Time { return tick.Add(month) })))
		tick := time.Now().Truncate(time.Millisecond)
		ok(t, j.Run(t.Context(), tick, func(context.Context) error { time.Sleep(time.Second); return nil }))
		synctest.Wait()
		time.Sleep(2 * month)
		runs := must[*inspect.Runs](t)(fl.inspector("ops").Runs(t.Context(), "job"))
		if runs.Schedule != "monthly" || !runs.Next.Equal(tick.Add(month)) || len(runs.Runs) != 1 || runs.Runs[0].Took != time.Second || !runs.Runs[0].Began.Equal(tick) {
			t.Errorf("%+v", runs)
		}
		for after, overdue := range map[time.Duration]time.Duration{0: 0, month: 0, month + 10*time.Second: 0, month + time.Minute: time.Minute} {
			if got := runs.Overdue(tick.Add(after)); got != overdue {
				t.Errorf("%v after the tick it is overdue for %v, want %v", after, got, overdue)
			}
		}
		ok(t, fl.inspector("ops").Forget(t.Context(), "job"))
		if keys := fl.servers[0].Keys(); len(keys) != 0 {
			t.Errorf("left: %v", keys)
		}
	})
}

// Data of another kind in the history's place costs the history, not the lock.
func TestHistory_wrongType(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		j := must[*redlock.Job](t)(fl.process("a").NewJob("job"))
		for _, s := range fl.servers {
			s.Do("SET", "job:redtick:{job}:runs", "mine")
		}
		ok(t, j.Run(t.Context(), time.Now(), func(context.Context) error { return nil }))
		synctest.Wait()
		if left := fl.locks("job"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		expectRuns(t, fl.runsOf("job"))
	})
}

// Only a granted claim asks the schedule, and none does without a history.
//
// Seen to fail when each claim asks it.
func TestHistory_nextIsAskedByTheWinner(t *testing.T) {
	for history, want := range map[int]int{20: 1, 0: 0} {
		inBubble(t, 1, func(t *testing.T, fl *fleet) {
			asked, tick := 0, time.Now()
			next := redlock.WithSchedule("now and then", func(tick time.Time) time.Time { asked++; return tick.Add(time.Minute) })
			for i, name := range []string{"a", "b", "c"} {
				j := must[*redlock.Job](t)(fl.process(name).NewJob("job", next, redlock.WithHistory(history)))
				if lease, err := j.Claim(t.Context(), tick); err == nil {
					ok(t, lease.Unlock(t.Context()))
				} else if i == 0 {
					t.Error(err)
				}
			}
			if asked != want {
				t.Errorf("with a history of %d the schedule was asked %d times for one run, want %d", history, asked, want)
			}
		})
	}
}

// When a claim is detached, its process's run has ended. Its adopter has a run of its own.
//
// Seen to fail when Detach notes nothing: the first run had vanished.
func TestHistory_detached(t *testing.T) {
	for _, after := range []time.Duration{time.Millisecond, time.Second} { // before and after the confirm
		inBubble(t, 3, func(t *testing.T, fl *fleet) {
			lease := must[*redlock.Lease](t)(fl.process("a").mutex(t, "job").Claim(t.Context(), time.Now()))
			time.Sleep(after)
			token := must[string](t)(lease.Detach())
			time.Sleep(time.Second)
			adopted := must[*redlock.Lease](t)(fl.process("b").mutex(t, "job").Adopt(t.Context(), token))
			if held := len(fl.locks("job")); held != 3 {
				t.Errorf("after Detach %d servers have the lock", held)
			}
			time.Sleep(time.Second)
			adopted.SetResult(nil)
			ok(t, adopted.Unlock(t.Context()))
			synctest.Wait()
			if got := fmt.Sprint(fl.noted("job")); got != "[2 2 2]" {
				t.Errorf("the servers have %s entries", got)
			}
			expectRuns(t, fl.runsOf("job"), "b ok", "a ended")
		})
	}
}

// nilError is an error whose methods need more than a nil pointer.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }
func (e *nilError) Unwrap() error { return errors.New(e.text) }

// A nil pointer in an error, a common mistake, does not keep the lock from being released.
//
// Seen to fail when the error is asked for its text, or for what it wraps.
func TestHistory_nilError(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		var failure *nilError
		err := fl.process("a").mutex(t, "job").Run(t.Context(), time.Now(), func(context.Context) error { return failure })
		if err == nil {
			t.Error("no error")
		}
		synctest.Wait()
		if locks := fl.locks("job"); len(locks) > 0 {
			t.Errorf("still locked: %v", locks)
		}
		expectRuns(t, fl.runsOf("job"), "a failed <nil>")
	})
}
