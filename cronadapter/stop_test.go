package cronadapter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
)

// Stop cancels the running job. The lease is held until the job has returned, and
// released when the wait is over.
//
// Seen to fail when the jobs' context did not end, and when the lease was given
// back as soon as it did.
func TestAdapter_Stop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		r := f.replica("a", 0)
		const slow = 100 * time.Second // longer than the TTL
		var told time.Time
		r.schedule("job", parse(t, "* * * * *"), func(ctx context.Context) error {
			select {
			case <-ctx.Done():
			case <-time.After(time.Hour):
				t.Error("it is not told")
			}
			told = time.Now()
			if !errors.Is(context.Cause(ctx), cronadapter.ErrStopped) || ctx.Err() != context.Canceled {
				t.Errorf("cause %v, error %v", context.Cause(ctx), ctx.Err())
			}
			time.Sleep(slow)
			return nil
		})
		r.Start()
		time.Sleep(90 * time.Second)
		stopped, begin := r.a.Stop(r.Cron), time.Now()
		time.Sleep(slow - time.Second)
		if _, held := f.servers[0].Get("job"); !held {
			t.Error("the lease is gone while the job runs")
		}
		<-stopped.Done()
		if !told.Equal(begin) {
			t.Errorf("told %v after Stop", told.Sub(begin))
		}
		if took := time.Since(begin); took != slow {
			t.Errorf("Stop's context ended after %v, want %v", took, slow)
		}
		synctest.Wait() // a majority has it, the others are being told
		for i, s := range f.servers {
			if _, held := s.Get("job"); held {
				t.Errorf("node %d still has the lock", i+1)
			}
		}
		leaveAll([]*replica{r})
	})
}

// After Stop nothing runs, through an entry or on another cron, and there is an event.
func TestAdapter_Stop_is_final(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		r := f.replica("a", 0)
		r.addSpec("job", "* * * * *")
		r.Start()
		time.Sleep(61 * time.Second)
		r.a.Stop(r.Cron)
		r.Start()
		time.Sleep(time.Minute)
		skips := r.log.take()
		if len(f.of("job")) != 1 || len(skips) != 1 || !skip(skips[0]) || !errors.Is(skips[0].Err, context.Canceled) {
			t.Errorf("%d runs, told %v", len(f.of("job")), skips)
		}
		leaveAll([]*replica{r})
	})
}

// With WithTakeover a loser waits for the run to end. When the run's replica
// dies, it runs the same tick; when not, it does not. Stop ends the waiting.
func TestAdapter_WithTakeover(t *testing.T) {
	cases := map[string]struct {
		dies, stops bool
		runs        int
	}{
		"holder lives":  {false, false, 1},
		"holder dies":   {true, false, 2},
		"waiter stops":  {false, true, 1},
		"both, in turn": {true, true, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				travel(nights[0].noon)
				f := newFleet(t, 3)
				fleet := []*replica{f.replica("a", 0), f.replica("b", 0)}
				for i, r := range fleet {
					r.add("job", "@hourly", 3*time.Minute, redlock.WithTakeover(), redlock.WithHandicap(time.Duration(i)*time.Second))
					r.Start()
				}
				travel(time.Now().Add(time.Hour + 10*time.Second))
				if c.stops {
					begin := time.Now()
					<-fleet[1].a.Stop(fleet[1].Cron).Done()
					if took := time.Since(begin); took > time.Second {
						t.Errorf("Stop took %v", took)
					}
				}
				if c.dies {
					fleet[0].cut()
				}
				time.Sleep(10 * time.Minute)
				ticks := f.of("job")
				if len(ticks) != c.runs || !ticks[0].Equal(ticks[len(ticks)-1]) {
					t.Errorf("runs of the ticks %v, want %d of one tick", ticks, c.runs)
				}
				for i, r := range fleet {
					<-r.a.Stop(r.Cron).Done()
					failed, all := r.log.failures(), r.log.take()
					if i == 1 && c.runs == 1 && (len(all) == 0 || len(failed) != 0) {
						t.Errorf("the waiter said %d things, want skips, and failures %v", len(all), failed)
					}
					r.locker.Close(t.Context())
				}
			})
		})
	}
}

// Jobs that come after Stop would never run, and keep their names from other adapters.
//
// Seen to fail when newRunner does not ask.
func TestAdapter_Stop_refusesFurtherJobs(t *testing.T) {
	a, c := newAdapter(t), cron.New()
	a.Stop(c)
	_, added := a.Add(c, "added", "* * * * *", nothing)
	_, made := a.NewJob("made", cron.Every(time.Minute), nothing)
	_, wrapped := a.Wrap("wrapped")
	for how, err := range map[string]error{"Add": added, "NewJob": made, "Wrap": wrapped} {
		if !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), "after Stop") {
			t.Errorf("%s: %v", how, err)
		}
	}
}
