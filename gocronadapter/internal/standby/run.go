package standby

import (
	"context"
	"errors"

	"github.com/redtick/redtick/redlock"
)

// Run is a run of this replica that holds the lease of its tick.
type Run struct {
	Lease  *redlock.Lease
	queue  *Queue
	tick   *pendingTick
	active *activeRun
}

// End says that the run is over. When it is not known to be done, as after a
// failed unlock, the stand-by claims its tick again and is told.
func (r *Run) End(done bool) { r.queue.end(r.tick, r.active, done) }

// activeRun is what the stand-by watches of a run: the lease may be lost.
type activeRun struct {
	lease *redlock.Lease
	over  chan struct{}
}

// lost distinguishes a lease that was lost from one that is held or was unlocked.
func (a *activeRun) lost() bool { return errors.Is(context.Cause(a.lease.Context()), redlock.ErrLost) }

// wait returns when the run is over, has lost its lease, or ctx ends.
func (a *activeRun) wait(ctx context.Context) {
	select {
	case <-a.over:
		return
	case <-ctx.Done():
		return
	case <-a.lease.Context().Done():
	}
	if a.lost() {
		return
	}
	select {
	case <-a.over:
	case <-ctx.Done():
	}
}
