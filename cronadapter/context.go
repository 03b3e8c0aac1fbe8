package cronadapter

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock"
)

type leaseKey struct{}

// LeaseFrom returns the lease of the run whose context this is, or one derived
// from it. ok is false anywhere else.
func LeaseFrom(ctx context.Context) (lease *redlock.Lease, ok bool) {
	lease, ok = ctx.Value(leaseKey{}).(*redlock.Lease)
	return lease, ok
}

// TickFrom returns the tick of the run whose context this is: the instant for
// which it was scheduled, in UTC. It only grows from run to run of one job, so
// a resource that remembers it and refuses smaller ones is fenced. ok is false
// anywhere else.
func TickFrom(ctx context.Context) (tick time.Time, ok bool) {
	lease, ok := LeaseFrom(ctx)
	if !ok {
		return time.Time{}, false
	}
	return lease.Tick(), true
}
