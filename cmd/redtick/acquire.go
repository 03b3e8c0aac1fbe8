package main

import (
	"context"
	"os"

	"github.com/redtick/redtick/redlock"
)

// acquire takes a lease, and stops on a signal. If the lease is granted by then,
// acquire releases it, because CMD has not begun.
func acquire(ctx context.Context, l *redlock.Locker, take taking, signals <-chan os.Signal) (*redlock.Lease, error) {
	ctx, cancel := context.WithCancel(ctx)
	caught, done := make(chan os.Signal, 1), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			caught <- s
			cancel()
		case <-ctx.Done():
		}
	}()
	lease, err := take(ctx, l)
	cancel()
	<-done
	select {
	case s := <-caught:
		if lease != nil {
			_ = lease.Unlock(ctx)
		}
		return nil, exit(exitSignal+numberOf(s), nil)
	default:
		return lease, err
	}
}
