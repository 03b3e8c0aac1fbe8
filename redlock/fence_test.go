package redlock_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
)

// Each lease's fence is larger than all before, whichever nodes make up the majority, even if counters are lost.
// Mutations: no write-back; raise.lua without the check of the lock; a counter that starts at milliseconds.
func TestFence_grows(t *testing.T) {
	for _, nodes := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			inBubble(t, nodes, func(t *testing.T, fl *fleet) {
				rng := rand.New(rand.NewPCG(uint64(nodes), 7))
				p := fl.process("a", redlock.WithFencing(), redlock.WithTTL(5*time.Second))
				m, last, leases := p.mutex(t, "job"), int64(0), 0
				for range scaled(2000) {
					cut := rng.IntN(nodes/2 + 1)
					for i, at := range rng.Perm(nodes) {
						p.links[at].Heal()
						if i < cut {
							p.links[at].Hang()
						}
					}
					if rng.IntN(20) == 0 {
						time.Sleep(time.Millisecond) // longer than the nodes' clocks differ
						fl.servers[rng.IntN(nodes)].Do("FLUSHALL")
					}
					lease, err := m.TryLock(t.Context())
					if err != nil {
						time.Sleep(time.Second)
						continue
					}
					leases++
					if lease.Fence() <= last {
						t.Fatalf("fence %d after %d", lease.Fence(), last)
					}
					last = lease.Fence()
					_ = lease.Unlock(t.Context())
					if rng.IntN(10) == 0 {
						time.Sleep(10 * time.Second)
					}
				}
				if leases < scaled(500) {
					t.Errorf("only %d leases: the test shows too little", leases)
				}
			})
		})
	}
}

// The largest counter is known to one node only and that node is in one majority but not in the next. The first holder
// dies: its release, which carries the fence along, never comes. Mutation: no write-back.
func TestFence_isWrittenBack(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a", redlock.WithFencing())
		for i, s := range fl.servers {
			s.Do("SET", "job:redtick:{job}:fence", []string{"10", "10", "500"}[i])
		}
		m := p.mutex(t, "job")
		p.links[0].Hang()
		first := must[*redlock.Lease](t)(p.mutex(t, "job", redlock.WithoutRenewal()).TryLock(t.Context()))
		p.links[0].Heal()
		time.Sleep(time.Minute)
		p.links[2].Hang()
		second := must[*redlock.Lease](t)(m.TryLock(t.Context()))
		if first.Fence() < 500 || second.Fence() <= first.Fence() {
			t.Errorf("fences %d, then %d", first.Fence(), second.Fence())
		}
		ok(t, second.Unlock(t.Context()))
		p.links[2].Heal()
	})
}

// Between the vote and the write-back the lock goes to somebody else (its key was released by force, say). The round has
// lost it then, and gets no fence.
//
// Seen to fail when raise.lua does not look at the lock.
func TestFence_standsOnlyUnderTheLock(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		for i, s := range fl.servers {
			s.Do("SET", "job:redtick:{job}:fence", []string{"10", "20", "500"}[i])
		}
		p := fl.process("a", redlock.WithFencing())
		p.delay(10*time.Millisecond, 10*time.Millisecond)
		time.AfterFunc(15*time.Millisecond, func() {
			for _, s := range fl.servers[:2] {
				s.Do("SET", "job", "another's")
			}
		})
		if lease, err := p.mutex(t, "job").TryLock(t.Context()); err == nil {
			t.Errorf("granted with fence %d, while a majority is another's", lease.Fence())
		}
		for _, s := range fl.servers[:2] {
			s.Do("DEL", "job")
		}
	})
}

// A node loses its counter, but not the lock, between the vote and the write-back. The fence, which may be an old one by
// then, does not stand there; the counter starts at the time with the next vote.
//
// Seen to fail when raise.lua writes a counter that is missing.
func TestFence_lostCounterAbstains(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		for i, s := range fl.servers {
			s.Do("SET", "job:redtick:{job}:fence", []string{"10", "20", "500"}[i])
		}
		p := fl.process("a", redlock.WithFencing())
		p.delay(10*time.Millisecond, 10*time.Millisecond)
		time.AfterFunc(15*time.Millisecond, func() {
			for _, s := range fl.servers {
				s.Do("DEL", "job:redtick:{job}:fence")
			}
		})
		lease := must[*redlock.Lease](t)(p.mutex(t, "job").TryLock(t.Context()))
		if at := time.Now().Add(-time.Second).UnixMicro(); lease.Fence() < at {
			t.Errorf("fence %d, which stands nowhere; want one of %d or later", lease.Fence(), at)
		}
		ok(t, lease.Unlock(t.Context()))
	})
}

// Without fencing, a claim's fence is its tick, in microseconds.
func TestFence_ofClaims(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		m, last := fl.process("a").mutex(t, "job"), int64(0)
		for range 20 {
			lease := must[*redlock.Lease](t)(m.Claim(t.Context(), time.Now()))
			if lease.Fence() <= last || lease.Fence() != lease.Tick().UnixMicro() {
				t.Errorf("fence %d of tick %v after %d", lease.Fence(), lease.Tick(), last)
			}
			last = lease.Fence()
			ok(t, lease.Unlock(t.Context()))
			time.Sleep(time.Second)
		}
	})
}

// WithTakeover on a Locker includes fencing for its mutexes, too: locks and claims of a name share one counter.
//
// Seen to fail while only jobs were fenced: a lock's fence was 0 after a claim's.
func TestFence_takeoverOfTheLocker(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		l := fl.process("a", redlock.WithTakeover()).Locker
		j, m := must[*redlock.Job](t)(l.NewJob("job")), must[*redlock.Mutex](t)(l.NewMutex("job"))
		last := int64(0)
		for range 3 {
			for _, acquire := range []func() (*redlock.Lease, error){
				func() (*redlock.Lease, error) { return j.Claim(t.Context(), time.Now()) },
				func() (*redlock.Lease, error) { return m.TryLock(t.Context()) },
				func() (*redlock.Lease, error) {
					return j.Triggered().Claim(t.Context(), time.Now().Add(time.Millisecond))
				},
			} {
				lease := must[*redlock.Lease](t)(acquire())
				if lease.Fence() <= last {
					t.Errorf("fence %d after %d", lease.Fence(), last)
				}
				last = lease.Fence()
				time.Sleep(time.Second)
				token := must[string](t)(lease.Detach())
				adopted := must[*redlock.Lease](t)(m.Adopt(t.Context(), token))
				if adopted.Fence() <= last {
					t.Errorf("adopted with fence %d after %d", adopted.Fence(), last)
				}
				last = adopted.Fence()
				ok(t, adopted.Unlock(t.Context()))
			}
		}
	})
}
