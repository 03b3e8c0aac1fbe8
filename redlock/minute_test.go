package redlock_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
)

// The full minute of a large fleet: every job ticks at the same instant on ten replicas, whose links take 0.5 to 5 ms each way,
// which splits many votes. Each tick is granted once. docs/performance.md has the figures of 10,000 jobs (REDTICK_JOBS=10000, -v).
//
// Seen to fail when a split vote is final.
func TestClaim_fullMinute(t *testing.T) {
	const replicas = 10
	jobs := scaled(250)
	if n, err := strconv.Atoi(os.Getenv("REDTICK_JOBS")); err == nil {
		jobs = n
	}
	for _, nodes := range []int{1, 3} {
		inBubble(t, nodes, func(t *testing.T, fl *fleet) {
			granted := make([]atomic.Int32, jobs)
			start, tick := make(chan struct{}), time.Now().Add(time.Second)
			var all sync.WaitGroup
			for r := range replicas {
				p := fl.process(fmt.Sprint("r", r))
				p.delay(500*time.Microsecond, 5*time.Millisecond)
				for i := range jobs {
					j := must[*redlock.Job](t)(p.NewJob(fmt.Sprint("job", i)))
					all.Go(func() {
						<-start
						lease, err := j.Claim(t.Context(), tick)
						switch {
						case err == nil:
							granted[i].Add(1)
							ok(t, lease.Unlock(t.Context()))
						case !errors.Is(err, redlock.ErrTaken) && !errors.Is(err, redlock.ErrTickDone):
							t.Error(err)
						}
					})
				}
			}
			time.Sleep(time.Until(tick))
			begin, before := time.Now(), evaluations(fl)
			close(start)
			all.Wait()
			t.Logf("%d nodes: %d jobs on %d replicas decided within %v of the tick, %.1f commands per tick and node",
				nodes, jobs, replicas, time.Since(begin), float64(evaluations(fl)-before)/float64(jobs*nodes))
			for i := range granted {
				if n := granted[i].Load(); n != 1 {
					t.Errorf("job %d ran %d times", i, n)
				}
			}
		})
	}
}

// evaluations counts the scripts that the servers have run.
func evaluations(fl *fleet) (n int) {
	for _, s := range fl.servers {
		n += s.Commands("EVALSHA") + s.Commands("EVAL")
	}
	return n
}
