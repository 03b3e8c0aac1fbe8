//go:build corefaults

package redlock_test

import (
	"context"
	"testing"
	"time"
)

// The holder's vote is missing on the node where others wait, so that these take it for released; its next renewal puts it
// there. A waiter that gives up passes the notice on, and must not release the holder for that.
func TestLock_leavingWaiterReleasesNobody(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		holder, waiter := fl.process("a"), fl.process("b")
		holder.links[0].Hang()
		lease, err := holder.mutex(t, "job").Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		holder.links[0].Heal()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, err := waiter.mutex(t, "job").Lock(ctx); err == nil {
			t.Error("two hold the lock")
		}
		time.Sleep(100 * time.Millisecond)
		for i, s := range fl.servers {
			if token, _ := s.Get("job"); token != lease.Token() {
				t.Errorf("server %d has %q, want the holder's %q", i, token, lease.Token())
			}
		}
		ok(t, lease.Unlock(t.Context()))
	})
}
