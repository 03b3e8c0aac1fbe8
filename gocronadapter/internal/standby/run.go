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

// End says that the run is over, and whether its tick is known to be done. If not,
// as after a failed unlock, the stand-by claims the tick again and finds out.
func (r *Run) End(done bool) { r.queue.end(r.tick, r.active, done) }

// activeRun lets the stand-by watch a run, whose lease may be lost.
type activeRun struct {
	lease *redlock.Lease
	over  chan struct{}
}

// lost reports whether the lease was lost, rather than held or unlocked.
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
