package redlock_test

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// The holder's vote is missing on the node where others wait, so that these take it for released; its next renewal puts it
// there. A waiter that gives up passes the notice on, and must not release the holder for that. About one name in fifteen shows it.
func TestLock_leavingWaiterReleasesNobody(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		holder, waiter := fl.process("a"), fl.process("b")
		for i := range 100 {
			name := fmt.Sprint("job", i)
			holder.links[0].Hang()
			lease, err := holder.mutex(t, name).Lock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			holder.links[0].Heal()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if _, err := waiter.mutex(t, name).Lock(ctx); err == nil {
				t.Error("two hold the lock")
			}
			cancel()
			time.Sleep(100 * time.Millisecond)
			for n, s := range fl.servers {
				if token, _ := s.Get(name); token != lease.Token() {
					t.Errorf("%s on server %d is %q, want the holder's %q", name, n, token, lease.Token())
				}
			}
			ok(t, lease.Unlock(t.Context()))
		}
	})
}
