package cronadapter_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// down refuses all connections of the replicas until the returned function is called.
func down(rs ...*replica) (back func()) {
	for _, r := range rs {
		for _, n := range r.nodes {
			n.(*redlocktest.Node).Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		}
	}
	return func() {
		for _, r := range rs {
			for _, n := range r.nodes {
				n.(*redlocktest.Node).Heal()
			}
		}
	}
}

// Redis is down at a tick. A daily job runs late, once. A job every 10 s loses the tick when the next one comes.
//
// Seen to fail with WithLateness(0).
func TestLateness_outage(t *testing.T) {
	for _, outage := range []time.Duration{5 * time.Second, 30 * time.Second, 300 * time.Second} {
		t.Run(fmt.Sprint(outage), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				travel(nights[0].noon)
				f := newFleet(t, 1)
				var rs []*replica
				tick := time.Now().Truncate(time.Hour).Add(time.Hour)
				for i := range 3 {
					r := f.replica(fmt.Sprint(i), 0)
					r.add("daily", fmt.Sprintf("0 %d * * *", tick.UTC().Hour()), time.Second)
					r.add("quick", "@every 10s", time.Second)
					r.Start()
					rs = append(rs, r)
				}
				time.Sleep(time.Until(tick) - time.Second)
				back := down(rs...)
				time.Sleep(time.Second + outage)
				back()
				time.Sleep(time.Minute)
				for _, r := range rs {
					r.leave()
				}
				same(t, "daily", f.of("daily"), []time.Time{tick})
				for i, r := range f.runs {
					late := r.at.Sub(r.tick)
					if r.job == "daily" && (late < outage || late > outage+10*time.Second) || r.job == "quick" && late > 10*time.Second {
						t.Errorf("run %d of %s began %v late", i, r.job, late)
					}
				}
				for i, at := range f.of("quick") {
					if i > 0 && at.Equal(f.of("quick")[i-1]) {
						t.Errorf("%v ran twice", at)
					}
				}
			})
		})
	}
}

// Seen to fail when a claim has the adapter's context only.
func TestAdapter_Remove_endsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		r := f.replica("a", 0)
		r.add("job", "0 * * * *", 0, redlock.WithLateness(5*time.Minute))
		r.Start()
		time.Sleep(time.Until(time.Now().Truncate(time.Hour).Add(time.Hour)) - time.Second)
		back := down(r)
		time.Sleep(time.Minute)
		r.a.Remove(r.Cron, "job")
		begin := time.Now()
		<-r.Cron.Stop().Done() // waits for the jobs
		if took := time.Since(begin); took > 11*time.Second {
			t.Errorf("it waited for another %v", took)
		}
		back()
		r.leave()
		same(t, "job", f.of("job"), nil)
	})
}

// All replicas reload their jobs just after each tick was fired. cron alone runs
// what it has fired.
//
// Seen to fail when Remove ends the claims at once.
func TestAdapter_Remove_keepsFiredTicks(t *testing.T) {
	for _, after := range []time.Duration{time.Millisecond, 50 * time.Millisecond} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 1)
				var rs []*replica
				for i := range 3 {
					r := f.replica(fmt.Sprint(i), 0)
					r.add("job", "* * * * *", time.Second)
					r.Start()
					rs = append(rs, r)
				}
				var want []time.Time
				for range 20 {
					tick := time.Now().Truncate(time.Minute).Add(time.Minute)
					want = append(want, tick)
					time.Sleep(time.Until(tick.Add(after)))
					for _, r := range rs {
						r.a.Remove(r.Cron, "job")
						r.add("job", "* * * * *", time.Second)
					}
				}
				time.Sleep(10 * time.Second)
				for _, r := range rs {
					r.leave()
				}
				same(t, "job", f.of("job"), want)
			})
		})
	}
}
