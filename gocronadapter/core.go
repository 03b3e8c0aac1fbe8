package gocronadapter

import (
	"context"
	"log/slog"
	"time"

	"github.com/redtick/redtick/redlock"
)

// Warning is the kind of an event about a schedule that works but will
// surprise: see the package's description. Its Err says what and why.
const Warning redlock.EventKind = "warning"

// report hands an event of this package to the Locker's observer.
func report(l *redlock.Locker, e redlock.Event) {
	e.At = time.Now()
	if r, ok := any(l).(interface{ Report(redlock.Event) }); ok {
		r.Report(e)
		return
	}
	slog.Default().Warn("redlock: "+string(e.Kind), "name", e.Name, "tick", e.Tick, "err", e.Err)
}

// claim and await ask for a tick; await waits until it is over or can be taken over.
func claim(ctx context.Context, m *redlock.Mutex, tick time.Time) (*redlock.Lease, error) {
	return m.TryClaim(ctx, tick)
}

func await(ctx context.Context, m *redlock.Mutex, tick time.Time) (*redlock.Lease, error) {
	return m.Claim(ctx, tick)
}

// abandon ends a lease without its tick being done.
func abandon(ctx context.Context, lease *redlock.Lease) error {
	if a, ok := any(lease).(interface{ Abandon(context.Context) error }); ok {
		return a.Abandon(ctx)
	}
	_, err := lease.Detach()
	return err
}
