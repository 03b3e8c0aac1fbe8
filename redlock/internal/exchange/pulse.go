package exchange

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// pingEvery is the pause between two PINGs on a subscription.
const pingEvery = 3 * time.Second

var errSilent = errors.New("the subscription's connection went silent")

// Pulse detects that a subscription's host has vanished, since a channel may be
// silent for hours. It calls ping every 3 s. alive ends with ctx, or with a cause of
// its own if heard is not called between two pings. stop ends it.
func Pulse(ctx context.Context, ping func()) (alive context.Context, heard, stop func()) {
	alive, end := context.WithCancelCause(ctx)
	var received atomic.Bool
	heard = func() { received.Store(true) }
	heard()
	go func() {
		ticker := time.NewTicker(pingEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-alive.Done():
				return
			}
			if !received.Swap(false) {
				end(errSilent)
				return
			}
			ping()
		}
	}()
	return alive, heard, func() { end(nil) }
}
