package redlock

import (
	"context"
	"time"
)

type (
	leaseKey struct{}
	tickKey  struct{}
)

// LeaseFrom returns the lease in ctx, and reports whether there is one. It is in the
// contexts of [Lease.Context], [Lease.Bind], [Mutex.Do], [Job.Run], [Elector.Run] and
// the adapters' jobs.
func LeaseFrom(ctx context.Context) (*Lease, bool) {
	l, ok := ctx.Value(leaseKey{}).(*Lease)
	return l, ok
}

// TickFrom returns the tick in ctx, in UTC, and reports whether there is one. It comes
// from a claim's lease or from [ContextWithTick]; the innermost one counts.
func TickFrom(ctx context.Context) (time.Time, bool) {
	tick, ok := ctx.Value(tickKey{}).(time.Time)
	return tick, ok
}

// ContextWithTick returns a context from which [TickFrom] reads tick. It is for
// adapters whose handlers know their tick but hold no lease.
func ContextWithTick(ctx context.Context, tick time.Time) context.Context {
	return context.WithValue(ctx, tickKey{}, tick.UTC())
}

// with returns ctx with the lease, and with its tick if it has one.
func (l *Lease) with(ctx context.Context) context.Context {
	if l.tick != 0 {
		ctx = ContextWithTick(ctx, l.Tick())
	}
	return context.WithValue(ctx, leaseKey{}, l)
}
