package redlock_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

const day = 24 * time.Hour

// resumedJob is a job whose ticks follow next, and who looks after it.
type resumedJob struct {
	*fleet
	job  *redlock.Job
	ops  *inspect.Inspector
	next func(tick time.Time) time.Time
}

func (fl *fleet) resumedJob(next func(tick time.Time) time.Time) *resumedJob {
	j := must[*redlock.Job](fl.t)(fl.process("a").NewJob("job", redlock.WithSchedule("now and then", next)))
	return &resumedJob{fl, j, fl.inspector("ops"), next}
}

// run runs the ticks after the last one up to the given one, each at its time.
func (r *resumedJob) run(last, upTo time.Time) {
	r.t.Helper()
	for tick := r.next(last); !tick.After(upTo); tick = r.next(tick) {
		time.Sleep(time.Until(tick))
		ok(r.t, r.job.Run(r.t.Context(), tick, func(context.Context) error { return nil }))
	}
}

// expect compares the state and the next tick at a time.
func (r *resumedJob) expect(at time.Time, state string, next time.Time) {
	r.t.Helper()
	time.Sleep(time.Until(at))
	synctest.Wait()
	info := must[*inspect.Info](r.t)(r.ops.Show(r.t.Context(), "job"))
	runs := must[*inspect.Runs](r.t)(r.ops.Runs(r.t.Context(), "job"))
	if got := inspect.State(info, runs, time.Now()); got != state || !runs.Next.Equal(next) {
		r.t.Errorf("%v: %s, next %v; want %s, next %v", at, got, runs.Next, state, next)
	}
	if late := runs.Overdue(time.Now()); (late > 0) != (state == inspect.Overdue) || late > 0 && late != time.Since(next) {
		r.t.Errorf("%v: overdue for %v", at, late)
	}
}

func (r *resumedJob) pause(d time.Duration) {
	r.t.Helper()
	ok(r.t, r.ops.Pause(r.t.Context(), "job", inspect.Pause{For: d}))
}

func (r *resumedJob) resume() {
	r.t.Helper()
	ok(r.t, r.ops.Resume(r.t.Context(), "job"))
}

// A tick that a pause had skipped is not waited for, whatever ended the pause: the first one after it is.
//
// Seen to fail without the note of the end: by Pause, by Resume, where only one of the two is read.
func TestResumed_skippedTick(t *testing.T) {
	for name, c := range map[string]struct {
		pause time.Duration
		end   func(r *resumedJob)
		next  int // after the resume, in days
	}{
		"by its end":   {2 * time.Hour, func(*resumedJob) {}, 4},
		"before it":    {9 * time.Hour, (*resumedJob).resume, 4},
		"endless":      {0, (*resumedJob).resume, 4},
		"many ticks":   {0, func(r *resumedJob) { time.Sleep(5 * day); r.resume() }, 9},
		"paused twice": {9 * time.Hour, func(r *resumedJob) { r.pause(0); time.Sleep(2 * day); r.resume() }, 6},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				r, first := fl.resumedJob(daily), time.Now()
				in := func(days int) time.Time { return first.Add(time.Duration(days) * day) }
				r.run(first, in(2))
				time.Sleep(time.Until(in(3).Add(-time.Hour)))
				r.pause(c.pause)
				next := in(3)
				if c.pause > time.Hour {
					next = in(4)
				}
				r.expect(in(3).Add(30*time.Minute), inspect.Paused, next)
				time.Sleep(time.Hour)
				c.end(r)
				r.expect(time.Now().Add(time.Minute), "ok", in(c.next))
				r.expect(in(c.next).Add(10*time.Second), "ok", in(c.next))
				r.expect(in(c.next).Add(time.Minute), inspect.Overdue, in(c.next))
				r.run(in(c.next), in(c.next+1))
				r.expect(in(c.next+1).Add(time.Minute), "ok", in(c.next+2))
			})
		})
	}
}

// Where the intervals differ, the longest that is remembered is given to the job: too late an alarm is better than a false one.
//
// Seen to fail when the newest interval, or a multiple of the longest, is added to the skipped tick.
func TestResumed_weekdays(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		weekdays := func(tick time.Time) time.Time {
			for tick = tick.Add(day); tick.Weekday() == time.Saturday || tick.Weekday() == time.Sunday; {
				tick = tick.Add(day)
			}
			return tick
		}
		r, saturday := fl.resumedJob(weekdays), time.Now() // 2000-01-01
		r.run(saturday, saturday.Add(11*day))              // a Wednesday
		thursday := saturday.Add(12 * day)
		time.Sleep(time.Until(thursday.Add(-time.Hour)))
		r.pause(day + 13*time.Hour) // over Thursday's and Friday's
		atLast := thursday.Add(day + 12*time.Hour + 3*day)
		r.expect(thursday.Add(4*day-time.Second), "ok", atLast)
		r.expect(atLast.Add(time.Minute), inspect.Overdue, atLast)
	})
}

// A pause whose tick is still to come, one that ended before, and the end of no pause hide nothing.
//
// Seen to fail when Resume notes the end of no pause.
func TestResumed_hidesNothing(t *testing.T) {
	for name, before := range map[string]func(r *resumedJob){
		"resumed in time": func(r *resumedJob) { r.pause(0); time.Sleep(time.Hour); r.resume() },
		"ended in time":   func(r *resumedJob) { r.pause(time.Hour); time.Sleep(2 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				r, first := fl.resumedJob(daily), time.Now()
				r.run(first, first.Add(2*day))
				before(r)
				due := first.Add(3 * day)
				r.expect(due.Add(-time.Second), "ok", due)
				r.expect(due.Add(time.Minute), inspect.Overdue, due)
				r.resume()
				r.expect(due.Add(time.Hour), inspect.Overdue, due)
			})
		})
	}
}

// A tick that came during a run, and so was skipped, is not waited for either.
//
// Seen to fail while only the end of a pause counted: the job was overdue from the end of the run to the next tick.
func TestResumed_skippedByARun(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		r, first := fl.resumedJob(daily), time.Now()
		r.run(first, first.Add(2*day))
		time.Sleep(time.Until(first.Add(3 * day)))
		ok(t, r.job.Run(t.Context(), first.Add(3*day), func(context.Context) error { time.Sleep(day + time.Hour); return nil }))
		r.expect(first.Add(4*day+2*time.Hour), "ok", first.Add(5*day))
		r.expect(first.Add(5*day+time.Minute), inspect.Overdue, first.Add(5*day))
	})
}

// What a pause on too few nodes noted counts for nothing, and one node fewer changes nothing.
//
// Seen to fail when one node is enough, and when all are needed.
func TestResumed_someNodes(t *testing.T) {
	for paused, want := range map[int]string{1: inspect.Overdue, 2: "ok", 3: "ok"} {
		inBubble(t, 3, func(t *testing.T, fl *fleet) {
			r, first := fl.resumedJob(daily), time.Now()
			r.run(first, first.Add(2*day))
			synctest.Wait()
			for _, s := range fl.servers[paused:] {
				s.Freeze()
			}
			_ = r.ops.Pause(t.Context(), "job", inspect.Pause{For: 2 * day})
			for _, s := range fl.servers[paused:] {
				s.Restart()
				s.Thaw()
			}
			r.run(first.Add(2*day), time.Time{})
			time.Sleep(2*day + time.Hour)
			runs := must[*inspect.Runs](t)(r.ops.Runs(t.Context(), "job"))
			info := must[*inspect.Info](t)(r.ops.Show(t.Context(), "job"))
			if got := inspect.State(info, runs, time.Now()); got != want {
				t.Errorf("paused on %d nodes: %s, want %s", paused, got, want)
			}
		})
	}
}

// The note of the end is forgotten with the rest, and no list shows it.
func TestResumed_leavesNothing(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		r, first := fl.resumedJob(daily), time.Now()
		r.run(first, first.Add(day))
		r.pause(time.Hour)
		time.Sleep(20 * day) // longer than ticks are remembered
		if names, _, err := r.ops.Names(t.Context(), "", 10); err != nil || fmt.Sprint(names) != "[job]" {
			t.Errorf("%v, %v, want [job]", names, err)
		}
		ok(t, r.ops.Forget(t.Context(), "job"))
		for _, s := range fl.servers {
			if left := s.Do("EXISTS", "job:redtick:{job}:resumed").Value; left != int64(0) {
				t.Errorf("left: %v", left)
			}
		}
	})
}
