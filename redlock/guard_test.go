package redlock_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// A holds nodes 1 and 2, node 2 forgets, B asks. Without the guard B is granted too: that is what "nodes keep their
// data" means. With it the node abstains. Mutations: `age` always large; `age` looks only for its key.
func TestGuard_forgetfulNode(t *testing.T) {
	for _, guarded := range []bool{false, true} {
		for _, how := range []string{"restart", "flush", "promotion", "log without its end"} {
			for _, claim := range []bool{false, true} {
				name := how + map[bool]string{true: " guarded", false: ""}[guarded] + map[bool]string{true: " claim", false: " lock"}[claim]
				t.Run(name, func(t *testing.T) {
					inBubble(t, 3, func(t *testing.T, fl *fleet) { forget(t, fl, guarded, how, claim) })
				})
			}
		}
	}
}

// forgetLastWrites takes away all but what the guard wrote long ago.
func forgetLastWrites(s *redlocktest.Server) {
	for _, key := range s.Keys() {
		if key != "redtick:guard" {
			s.Do("DEL", key)
		}
	}
}

func forget(t *testing.T, fl *fleet, guarded bool, how string, claim bool) {
	opts := []redlock.LockerOption{redlock.WithTTL(20 * time.Second)}
	if guarded {
		opts = append(opts, redlock.WithRestartGuard(30*time.Second))
	}
	a, b := fl.process("a", opts...), fl.process("b", opts...)
	if guarded {
		ok(t, a.inspector(t).Bootstrap(t.Context()))
	}
	tick := time.Now()
	acquire := func(m *subject) (*redlock.Lease, error) {
		if claim {
			return m.Claim(t.Context(), tick)
		}
		return m.TryLock(t.Context())
	}
	a.links[2].Hang()
	held := must[*redlock.Lease](t)(acquire(a.mutex(t, "job")))
	time.Sleep(time.Second)
	for _, l := range a.links {
		l.Hang() // a is cut off from now on; its keys are on 1 and 2
	}
	switch how {
	case "restart":
		fl.servers[1].Restart()
	case "flush":
		fl.servers[1].Do("FLUSHALL")
	case "promotion":
		forgetLastWrites(fl.servers[1])
		fl.servers[1].Promote()
	case "log without its end":
		forgetLastWrites(fl.servers[1])
		fl.servers[1].RestartWithData()
	}
	if claim {
		b.links[0].Hang() // it would tell that the tick is done: one confirm is proof
	}
	second, err := acquire(b.mutex(t, "job"))
	switch {
	case !guarded && err != nil:
		t.Errorf("without the guard the forgetful node votes, and b got %v", err)
	case guarded && !errors.Is(err, redlock.ErrNoQuorum):
		t.Errorf("with the guard b got %v, want ErrNoQuorum", err)
	case guarded && !errors.Is(err, redlock.ErrNodeYoung):
		t.Errorf("%v does not tell that a node abstains", err)
	}
	if second != nil {
		_ = second.Unlock(t.Context())
	}
	for i := range a.links {
		a.links[i].Heal()
		b.links[i].Heal()
	}
	_ = held.Unlock(t.Context())
	if guarded {
		time.Sleep(40 * time.Second)
		ok(t, must[*redlock.Lease](t)(b.mutex(t, "other").TryLock(t.Context())).Unlock(t.Context()))
	}
}

// A run of an earlier tick goes on, and a node forgets its lock. It votes on no tick, however new, until that lock has expired.
//
// Seen to fail when claim.lua asks only whether the tick is newer than the node's memory.
func TestGuard_earlierRun(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		opts := []redlock.LockerOption{redlock.WithTTL(20 * time.Second), redlock.WithRestartGuard(30 * time.Second), redlock.WithMaxSkew(time.Second)}
		a, b := fl.process("a", opts...), fl.process("b", opts...)
		ok(t, a.inspector(t).Bootstrap(t.Context()))
		a.links[2].Hang()
		running := must[*redlock.Lease](t)(a.mutex(t, "job").Claim(t.Context(), time.Now()))
		time.Sleep(time.Second)
		fl.servers[1].Restart()
		b.links[0].Hang()
		_, _ = b.mutex(t, "other").TryLock(t.Context()) // the node notes its birth
		time.Sleep(time.Second)
		if _, err := b.mutex(t, "job").Claim(t.Context(), time.Now()); !errors.Is(err, redlock.ErrNodeYoung) {
			t.Errorf("while the earlier run goes on: %v, want ErrNodeYoung", err)
		}
		ok(t, running.Context().Err())
		a.links[2].Heal()
		b.links[0].Heal()
		_ = running.Unlock(t.Context()) // one node of three holds it by now
	})
}

// A lease is not extended by a node that may have forgotten that it voted for somebody else: that round may still win
// with another node, whose copy of the lock has expired because the extension did not reach it.
//
// Seen to fail when extend.lua counts on every node.
func TestGuard_extensionAbstains(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a", redlock.WithTTL(20*time.Second), redlock.WithRestartGuard(20*time.Second))
		ok(t, p.inspector(t).Bootstrap(t.Context()))
		lease := must[*redlock.Lease](t)(p.mutex(t, "job", redlock.WithoutRenewal()).TryLock(t.Context()))
		time.Sleep(time.Second)
		fl.servers[2].Restart()
		p.links[0].Hang()
		if err := lease.Extend(t.Context()); !errors.Is(err, redlock.ErrNoQuorum) || !errors.Is(err, redlock.ErrNodeYoung) {
			t.Errorf("by one node of three and a young one: %v, want ErrNoQuorum and ErrNodeYoung", err)
		}
		p.links[0].Heal()
		time.Sleep(3 * time.Second) // the node is probed again
		ok(t, lease.Extend(t.Context()))
		ok(t, lease.Unlock(t.Context()))
	})
}

func TestGuard_freshFleet(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a", redlock.WithTTL(10*time.Second), redlock.WithRestartGuard(10*time.Second))
		_, err := p.mutex(t, "job").TryLock(t.Context())
		if !errors.Is(err, redlock.ErrNodeYoung) || !strings.Contains(err.Error(), "Bootstrap") {
			t.Errorf("a fresh fleet that was not told so: %v", err)
		}
		time.Sleep(11 * time.Second)
		ok(t, must[*redlock.Lease](t)(p.mutex(t, "job").TryLock(t.Context())).Unlock(t.Context()))

		told := &fleet{t: t, servers: fl.servers}
		for _, s := range told.servers {
			s.Restart()
		}
		q := told.process("b", redlock.WithTTL(10*time.Second), redlock.WithRestartGuard(10*time.Second))
		ok(t, q.inspector(t).Bootstrap(t.Context()))
		ok(t, must[*redlock.Lease](t)(q.mutex(t, "job").TryLock(t.Context())).Unlock(t.Context()))
		if err := q.inspector(t).Bootstrap(t.Context()); err == nil || strings.Count(err.Error(), "was declared fresh before, and votes") != 3 {
			t.Errorf("a second Bootstrap: %v, want it refused", err)
		}
		told.close()
	})
}

// A server that may evict keys is refused, with the setting to change.
func TestGuard_eviction(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		p := fl.process("a", redlock.WithRestartGuard(time.Minute))
		if r := fl.servers[0].Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"); r.Err != nil {
			t.Fatal(r.Err)
		}
		if err := p.inspector(t).Bootstrap(t.Context()); err == nil || !strings.Contains(err.Error(), "noeviction") {
			t.Errorf("got %v, want an error that says noeviction", err)
		}
	})
}

// Bootstrap tells of each node what that node said, be the others slower or not fresh.
//
// Seen to fail when the first refusal ends the waiting, and when a node that
// has not answered is said to hold data.
func TestGuard_bootstrapTellsEachNode(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, fl *fleet) {
		p := fl.process("a", redlock.WithRestartGuard(time.Minute))
		fl.servers[0].Do("HSET", "redtick:guard", "id", "x", "birth", "5")
		fl.servers[1].Do("SET", "redtick:guard", "somebody's")
		p.links[1].Delay(time.Millisecond, time.Millisecond)
		p.links[2].Hang()
		p.links[3].Delay(500*time.Millisecond, 500*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		err := p.inspector(t).Bootstrap(ctx)
		lines := strings.Split(err.Error(), "\n")
		if !errors.Is(err, redlock.ErrNodeYoung) || !errors.Is(err, context.DeadlineExceeded) || len(lines) != 3 || !strings.Contains(lines[0], "a/1: node abstains") ||
			!strings.Contains(lines[1], `a/2: the key "redtick:guard" holds data of another type; delete it`) ||
			!strings.Contains(lines[2], "a/3: context deadline exceeded") {
			t.Errorf("got %v", err)
		}
		p.links[2].Heal()
		fl.servers[1].Do("DEL", "redtick:guard")
		time.Sleep(10 * time.Second) // what was asked is answered all the same
	})
}

// A Bootstrap that is refused for one server's setting can be repeated once that is cured.
//
// Seen to fail when a server that is refused notes its birth.
func TestGuard_bootstrapAgain(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a", redlock.WithRestartGuard(time.Hour))
		fl.servers[2].Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
		if err := p.inspector(t).Bootstrap(t.Context()); err == nil || strings.Count(err.Error(), "\n") != 0 || !strings.Contains(err.Error(), "a/3: maxmemory-policy") {
			t.Errorf("got %v, want an error about a/3 alone", err)
		}
		fl.servers[2].Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
		time.Sleep(time.Minute)
		err := p.inspector(t).Bootstrap(t.Context())
		if err == nil || strings.Count(err.Error(), "was declared fresh before, and votes") != 2 || strings.Contains(err.Error(), "a/3") || errors.Is(err, redlock.ErrNodeYoung) {
			t.Errorf("got %v, want that two were declared fresh before", err)
		}
		p.links[0].Hang() // all of the other two are needed
		ok(t, must[*redlock.Lease](t)(p.mutex(t, "job").TryLock(t.Context())).Unlock(t.Context()))
		p.links[0].Heal()
	})
}

// The guard is turned on in a fleet that is at work: its nodes abstain from the new replicas, unless they were declared fresh.
func TestGuard_turnedOn(t *testing.T) {
	for _, declared := range []bool{false, true} {
		inBubble(t, 3, func(t *testing.T, fl *fleet) {
			before, after := fl.process("a").mutex(t, "job"), fl.process("b", redlock.WithRestartGuard(time.Minute))
			ok(t, must[*redlock.Lease](t)(before.Claim(t.Context(), time.Now())).Unlock(t.Context()))
			if declared {
				ok(t, after.inspector(t).Bootstrap(t.Context()))
			}
			time.Sleep(time.Second)
			lease, err := after.mutex(t, "job").Claim(t.Context(), time.Now())
			if abstain := errors.Is(err, redlock.ErrNodeYoung); abstain == declared {
				t.Errorf("declared fresh: %v, and yet %v", declared, err)
			}
			if err == nil {
				ok(t, lease.Unlock(t.Context()))
			}
		})
	}
}
