package redlock_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// What the simulation found, as small as it gets.

// Two of five nodes refuse connections and contenders split the other three: that is a split vote, not a missing quorum.
// Mutation: `missing` counts those that were not waited for.
func TestTryLock_splitVoteWithNodesDown(t *testing.T) {
	inBubble(t, 5, func(t *testing.T, fl *fleet) {
		var mutexes []*subject
		for _, name := range []string{"a", "b", "c"} {
			p := fl.process(name)
			p.delay(0, 2*time.Millisecond)
			for _, l := range p.links[:2] {
				l.Inject(-1, redlocktest.Fault{Err: errors.New("dial tcp: connection refused")})
			}
			mutexes = append(mutexes, p.mutex(t, "job"))
		}
		for round := range 100 {
			winners, errs := compete(mutexes, func(m *subject) (*redlock.Lease, error) { return m.TryLock(t.Context()) })
			if len(winners) != 1 {
				t.Errorf("round %d: %d winners, want 1; losers: %v", round, len(winners), errs)
			}
			for _, w := range winners {
				ok(t, w.Unlock(t.Context()))
			}
			time.Sleep(3 * time.Second)
		}
	})
}

// A dead claimer's token stays on the node that contenders ask first. They go on to another first node, and get what the
// majority of the others can give. Mutation: learn never turns to another first node.
func TestTryLock_deadTokenOnTheFirstNode(t *testing.T) {
	inBubble(t, 5, func(t *testing.T, fl *fleet) {
		fl.servers[0].Do("SET", "job", "dead", "PX", "60000")
		for _, s := range fl.servers[1:3] {
			s.Do("SET", "job", "passing", "PX", "20") // so that the first vote is split
		}
		lease, err := fl.process("a").mutex(t, "job").TryLock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ok(t, lease.Unlock(t.Context()))
		fl.servers[0].Do("DEL", "job")
	})
}

// An unlock of an earlier tick is resent to a node that restarted empty: `last` there proves nothing about the ticks that
// were forgotten. Mutation: claim.lua believes `last` on a young node.
func TestGuard_resentUnlock(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		opts := []redlock.LockerOption{redlock.WithTTL(2 * time.Second), redlock.WithRestartGuard(2 * time.Second)}
		a, b := fl.process("a", opts...), fl.process("b", opts...)
		ok(t, a.inspector(t).Bootstrap(t.Context()))
		m := b.mutex(t, "job")
		first := time.Now()
		second := first.Add(time.Second)
		held := must[*redlock.Lease](t)(m.Claim(t.Context(), first))
		time.Sleep(time.Second)
		b.links[1].Inject(1, again(500*time.Millisecond)) // the unlock is resent
		ok(t, held.Unlock(t.Context()))

		a.links[2].Hang() // a claims the second tick with nodes 1 and 2
		ok(t, must[*redlock.Lease](t)(a.mutex(t, "job").Claim(t.Context(), second)).Unlock(t.Context()))
		time.Sleep(10 * time.Millisecond)
		fl.servers[1].Restart() // empty; the copy arrives after that: last := first
		time.Sleep(time.Second)
		_, _ = b.mutex(t, "other").TryLock(t.Context()) // node 2 notes its birth
		time.Sleep(3 * time.Second)

		b.links[0].Hang()
		if lease, err := m.Claim(t.Context(), second); err == nil {
			t.Errorf("tick %v was granted twice", second)
			_ = lease.Unlock(t.Context())
		}
		b.links[0].Heal()
		a.links[2].Heal()
	})
}

// A renewal is resent to a node that restarted empty, long after others had the name: it must not start the missing
// counter at its own old fence. Mutation: extend.lua sets a counter that is missing.
func TestFence_resentRenewal(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		opts := []redlock.LockerOption{redlock.WithTTL(time.Second), redlock.WithRestartGuard(time.Second), redlock.WithFencing()}
		a, b, c := fl.process("a", opts...), fl.process("b", opts...), fl.process("c", opts...)
		ok(t, a.inspector(t).Bootstrap(t.Context()))
		old := must[*redlock.Lease](t)(a.mutex(t, "job", redlock.WithoutRenewal()).TryLock(t.Context()))
		time.Sleep(time.Millisecond)                       // its vote has arrived everywhere
		a.links[1].Inject(1, again(1500*time.Millisecond)) // the renewal is resent late
		ok(t, old.Extend(t.Context()))
		ok(t, old.Unlock(t.Context()))
		b.links[2].Hang() // node 3 learns nothing of b's fences
		newest := int64(0)
		for range 3 {
			l := must[*redlock.Lease](t)(b.mutex(t, "job").TryLock(t.Context()))
			newest = l.Fence()
			ok(t, l.Unlock(t.Context()))
		}
		time.Sleep(500 * time.Millisecond)
		fl.servers[1].Restart()
		_, _ = b.mutex(t, "other").TryLock(t.Context()) // node 2 notes its birth
		time.Sleep(5 * time.Second)
		c.links[0].Hang()
		l := must[*redlock.Lease](t)(c.mutex(t, "job").TryLock(t.Context()))
		if l.Fence() <= newest {
			t.Errorf("fence %d follows %d (the first was %d)", l.Fence(), newest, old.Fence())
		}
		_ = l.Unlock(t.Context())
		c.links[0].Heal()
		b.links[2].Heal()
	})
}
