package exchange

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// pulse is the pause between two PINGs on a subscription.
const pulse = 3 * time.Second

var errSilent = errors.New("the subscription's connection went silent")

// Pulse watches over a subscription, which tells of no message for hours, and so
// not of a host that vanished either. It calls ping every three seconds. alive ends
// with ctx, or with a cause of its own when heard was not called between two pings.
func Pulse(ctx context.Context, ping func()) (alive context.Context, heard, stop func()) {
	alive, end := context.WithCancelCause(ctx)
	var sign atomic.Bool
	heard = func() { sign.Store(true) }
	heard()
	go func() {
		beat := time.NewTicker(pulse)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
			case <-alive.Done():
				return
			}
			if !sign.Swap(false) {
				end(errSilent)
				return
			}
			ping()
		}
	}()
	return alive, heard, func() { end(nil) }
}
