package redlock_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
)

// A holds nodes 1 and 2, node 2 forgets, B asks. Without the guard B is granted too: that is what "nodes keep their
// data" means. With it the node abstains. Mutation: `age` always large.
func TestGuard_forgetfulNode(t *testing.T) {
	for _, guarded := range []bool{false, true} {
		for _, how := range []string{"restart", "flush", "promotion"} {
			for _, claim := range []bool{false, true} {
				name := how + map[bool]string{true: " guarded", false: ""}[guarded] + map[bool]string{true: " claim", false: " lock"}[claim]
				t.Run(name, func(t *testing.T) {
					inBubble(t, 3, func(t *testing.T, fl *fleet) { forget(t, fl, guarded, how, claim) })
				})
			}
		}
	}
}

func forget(t *testing.T, fl *fleet, guarded bool, how string, claim bool) {
	opts := []redlock.Option{redlock.WithTTL(20 * time.Second)}
	if guarded {
		opts = append(opts, redlock.WithRestartGuard(30*time.Second))
	}
	a, b := fl.process("a", opts...), fl.process("b", opts...)
	if guarded {
		ok(t, a.Bootstrap(t.Context()))
	}
	tick := time.Now()
	acquire := func(m *redlock.Mutex) (*redlock.Lease, error) {
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
		fl.servers[1].Do("FLUSHALL") // the replica had none of the last writes
		fl.servers[1].Promote()
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
		ok(t, q.Bootstrap(t.Context()))
		ok(t, must[*redlock.Lease](t)(q.mutex(t, "job").TryLock(t.Context())).Unlock(t.Context()))
		if err := q.Bootstrap(t.Context()); !errors.Is(err, redlock.ErrNodeYoung) {
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
		if err := p.Bootstrap(t.Context()); err == nil || !strings.Contains(err.Error(), "noeviction") {
			t.Errorf("got %v, want an error that says noeviction", err)
		}
	})
}
