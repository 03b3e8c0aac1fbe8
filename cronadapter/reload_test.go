package cronadapter_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// All replicas reload their jobs at a tick: each takes a job out of its cron just before, and puts it back just after.
//
// Seen to fail, with no run at all, when a job did not go on where the removed one was.
func TestAdapter_reload(t *testing.T) {
	for _, c := range []struct {
		name        string
		before, gap time.Duration
		spec        string
		want        int
	}{
		{"before the tick", time.Second, 500 * time.Millisecond, "0 9 * * *", 1},
		{"over the tick", time.Millisecond, 2 * time.Millisecond, "0 9 * * *", 1},
		{"up to the tick", time.Millisecond, time.Millisecond, "0 9 * * *", 1},
		{"at the tick", 0, 0, "0 9 * * *", 1},
		{"from the tick on", 0, time.Millisecond, "0 9 * * *", 1},
		{"over the tick, to another spec", time.Millisecond, 2 * time.Millisecond, "0 21 * * *", 0},
		{"over the tick, to more ticks", time.Millisecond, 2 * time.Millisecond, "0 9,21 * * *", 1},
		{"for a minute", 30 * time.Second, time.Minute, "0 9 * * *", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 3)
				replicas := []*replica{f.replica("a", 0), f.replica("b", 0), f.replica("c", 0)}
				for _, r := range replicas {
					r.addSpec("job", "0 9 * * *")
					r.Start()
				}
				travel(time.Now().Truncate(24 * time.Hour).Add(9*time.Hour - c.before))
				for _, r := range replicas {
					go func() {
						r.a.Remove(r.Cron, "job")
						time.Sleep(c.gap)
						r.addSpec("job", c.spec)
					}()
				}
				time.Sleep(time.Hour)
				if got := f.of("job"); len(got) != c.want {
					t.Errorf("runs of the ticks %v, want %d", got, c.want)
				}
				leaveAll(replicas)
			})
		})
	}
}
