package standby_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/gocronadapter/internal/standby"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// job gives each lease that the queue offers to a run.
type job struct {
	*redlock.Job
	queue *standby.Queue
	runs  chan *standby.Run
}

func (j *job) Start(context.Context, <-chan struct{}) { j.runs <- j.queue.Accept() }

// A run loses its lease, and another run of this replica takes the tick over. The first one ends, by a veto, while the second is under
// way. The tick is still the second run's: it runs again when that loses its lease, too.
//
// Seen to fail when any run of a tick removes it.
func TestQueue_late_end(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "a"), redlock.WithTTL(2*time.Second), redlock.WithoutRenewal())
		if err != nil {
			t.Fatal(err)
		}
		claims, err := locker.NewJob("job", redlock.WithTakeover())
		if err != nil {
			t.Fatal(err)
		}
		j := &job{Job: claims, runs: make(chan *standby.Run)}
		j.queue = standby.New(j)
		ctx, cancel := context.WithCancel(t.Context())
		j.queue.Add(time.Now())
		first, err := j.queue.Claim(ctx)
		if err != nil {
			t.Fatal(err)
		}
		second := <-j.runs
		first.End(true)
		select {
		case third := <-j.runs:
			third.End(third.Lease.Unlock(ctx) == nil)
		case <-time.After(time.Minute):
			t.Error("the tick did not run again")
		}
		second.End(false)
		cancel()
		if err := locker.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
