package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// A release wakes the next waiter at once, not after a back-off.
func TestLock_isWoken(t *testing.T) {
	for _, nodes := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			inBubble(t, nodes, func(t *testing.T, fl *fleet) {
				slow := redlock.WithBackoff(func(int) time.Duration { return time.Minute })
				a, b := fl.process("a").mutex(t, "job"), fl.process("b", slow).mutex(t, "job")
				held := must[*redlock.Lease](t)(a.Lock(t.Context()))
				var released time.Time
				time.AfterFunc(100*time.Second, func() {
					released = time.Now()
					ok(t, held.Unlock(t.Context()))
				})
				lease := must[*redlock.Lease](t)(b.Lock(t.Context()))
				if late := time.Since(released); released.IsZero() || late > 50*time.Millisecond {
					t.Errorf("woken %v after the release", late)
				}
				ok(t, lease.Unlock(t.Context()))
			})
		})
	}
}

// A waiter is woken even if the node that keeps the line refused the holder, who has the others.
//
// Seen to fail when a release goes only to the nodes that may have granted the lock.
func TestLock_isWokenWhereTheHolderWasRefused(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		slow := redlock.WithBackoff(func(int) time.Duration { return time.Minute })
		fl.servers[0].Do("SET", "job", "somebody's", "PX", "1000")
		held := must[*redlock.Lease](t)(fl.process("a").mutex(t, "job").TryLock(t.Context()))
		time.Sleep(2 * time.Second) // the first node is free, and has no renewal yet
		late := nextAfter(t, held, fl.process("b").mutex(t, "job", slow))
		if late > 50*time.Millisecond {
			t.Errorf("woken %v after the release", late)
		}
	})
}

// A far process gives up its vote, which a waiter has met. The waiter is woken when the vote is taken back.
//
// Seen to fail, after 0.4 to 1.2 s, when an abort wakes nobody, and for Close when only a context's end counts.
func TestLock_isWokenByCancelledVote(t *testing.T) {
	for name, want := range map[string]error{"its context ends": context.DeadlineExceeded, "its Locker is closed": redlock.ErrClosed} {
		for _, nodes := range []int{1, 3, 5} {
			t.Run(fmt.Sprintf("%s, %d nodes", name, nodes), func(t *testing.T) {
				inBubble(t, nodes, func(t *testing.T, fl *fleet) {
					far, near := fl.process("far"), fl.process("near")
					for _, l := range far.links {
						l.Delay(40*time.Millisecond, 40*time.Millisecond)
					}
					ctx := t.Context()
					if want == context.DeadlineExceeded {
						limited, cancel := context.WithTimeout(ctx, 60*time.Millisecond)
						defer cancel()
						ctx = limited
					}
					refused := make(chan error, 1)
					go func() {
						_, err := far.mutex(t, "job").TryLock(ctx)
						refused <- err
					}()
					time.Sleep(50 * time.Millisecond) // the votes have arrived, the answers have not
					if want == redlock.ErrClosed {
						time.AfterFunc(10*time.Millisecond, func() { _ = far.Close(context.Background()) })
					}
					begin := time.Now()
					lease := must[*redlock.Lease](t)(near.mutex(t, "job").Lock(t.Context()))
					if took := time.Since(begin); took > 200*time.Millisecond { // the wake may go out one round trip after the abort
						t.Errorf("it waited for %v", took)
					}
					if err := <-refused; !errors.Is(err, want) {
						t.Errorf("the far process: %v, want %v", err, want)
					}
					ok(t, lease.Unlock(t.Context()))
					time.Sleep(5 * time.Second) // until what is on its way has arrived
				})
			})
		}
	}
}

// A waiter stays in line however long the holder's TTL is, even if the node
// that keeps the line knows nothing of the holder, and when somebody with a
// shorter TTL was in line and has left.
//
// Seen to fail when a waiter rests for longer than its place in line lives, and
// (the last) when the last to come says how long the line lives.
func TestLock_staysInLine(t *testing.T) {
	for name, c := range map[string]struct{ unknown, hurried bool }{
		"holder with a longer TTL":           {},
		"holder that the first node has not": {unknown: true},
		"hurried neighbour":                  {hurried: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				a := fl.process("a", redlock.WithTTL(time.Hour), redlock.WithoutRenewal())
				b := fl.process("b", redlock.WithBackoff(func(int) time.Duration { return time.Hour }))
				held := must[*redlock.Lease](t)(a.mutex(t, "job").Lock(t.Context()))
				synctest.Wait()
				if c.unknown {
					fl.servers[0].Do("DEL", "job")
				}
				until := time.Now().Add(10*time.Minute + 7*time.Second)
				if c.hurried {
					ctx, cancel := context.WithDeadline(t.Context(), until.Add(-5*time.Second))
					defer cancel()
					impatient := fl.process("c", redlock.WithTTL(time.Second)).mutex(t, "job")
					go func() { _, _ = impatient.Lock(ctx) }()
				}
				var released time.Time
				time.AfterFunc(time.Until(until), func() {
					released = time.Now()
					ok(t, held.Unlock(t.Context()))
				})
				lease := must[*redlock.Lease](t)(b.mutex(t, "job").Lock(t.Context()))
				if late := time.Since(released); released.IsZero() || late > 50*time.Millisecond {
					t.Errorf("woken %v after the release", late)
				}
				ok(t, lease.Unlock(t.Context()))
			})
		})
	}
}

// A waiter that was woken and then lost the lock to somebody who had not waited keeps the place in line.
//
// Seen to fail when a waiter gets in line anew each time.
func TestLock_keepsItsPlace(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		m := fl.process("holder").mutex(t, "job")
		held := must[*redlock.Lease](t)(m.TryLock(t.Context()))
		var served []string
		var all sync.WaitGroup
		for _, name := range []string{"first", "second"} {
			p := fl.process(name, redlock.WithBackoff(func(int) time.Duration { return time.Minute }))
			p.delay(5*time.Millisecond, 5*time.Millisecond)
			all.Go(func() {
				ok(t, p.mutex(t, "job").Do(t.Context(), func(context.Context) error {
					served = append(served, name)
					return nil
				}))
			})
			time.Sleep(time.Second)
		}
		ok(t, held.Unlock(t.Context()))
		held = must[*redlock.Lease](t)(m.TryLock(t.Context())) // is faster than the waiter that was woken
		time.Sleep(time.Second)
		ok(t, held.Unlock(t.Context()))
		all.Wait()
		if fmt.Sprint(served) != "[first second]" {
			t.Errorf("served %v", served)
		}
	})
}

// Many processes with many waiters each: everyone gets the lock, one at a time, and about as often as the others.
func TestLock_fairness(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		const processes, perProcess, turns = 4, 2, 400
		served := make([]int, processes*perProcess)
		var mu sync.Mutex
		holders, total := 0, 0
		var all sync.WaitGroup
		for p := range processes {
			proc := fl.process(fmt.Sprintf("p%d", p))
			proc.delay(100*time.Microsecond, 300*time.Microsecond)
			m := proc.mutex(t, "job")
			for w := range perProcess {
				all.Go(func() {
					for {
						lease, err := m.Lock(t.Context())
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						holders++
						if holders > 1 {
							t.Error("two holders at once")
						}
						served[p*perProcess+w]++
						total++
						enough := total >= turns
						mu.Unlock()
						time.Sleep(time.Millisecond)
						mu.Lock()
						holders--
						mu.Unlock()
						ok(t, lease.Unlock(t.Context()))
						if enough {
							return
						}
					}
				})
			}
		}
		all.Wait()
		for i, n := range served {
			if n < turns/len(served)*8/10 {
				t.Errorf("waiter %d was served %d times of %d: %v", i, n, total, served)
			}
		}
	})
}

// A process next to the nodes does not starve one that is 10 ms away.
//
// Seen to fail when a process that has just woken a waiter does not let it go first: then it is 5,763 turns to 115. With it, some 1,990 to 240.
func TestLock_fairnessToFarProcess(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		near, far := fl.process("near"), fl.process("far")
		near.delay(100*time.Microsecond, 100*time.Microsecond)
		far.delay(5*time.Millisecond, 5*time.Millisecond)
		end := time.Now().Add(10 * time.Second)
		var served [2]int
		var all sync.WaitGroup
		for i, p := range []*process{near, far} {
			m := p.mutex(t, "job")
			all.Go(func() {
				for time.Now().Before(end) {
					lease := must[*redlock.Lease](t)(m.Lock(t.Context()))
					time.Sleep(time.Millisecond)
					ok(t, lease.Unlock(t.Context()))
					served[i]++
				}
			})
		}
		all.Wait()
		if served[1] < 200 { // a turn takes it 40 ms
			t.Errorf("the near process had %d turns, the far one %d", served[0], served[1])
		}
	})
}

// A notice that gets lost costs a back-off, not the holder's whole ttl.
func TestLock_lostNotice(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		a, b := fl.process("a").mutex(t, "job"), fl.process("b")
		held := must[*redlock.Lease](t)(a.Lock(t.Context()))
		var released time.Time
		time.AfterFunc(10*time.Second, func() {
			b.links[0].Disconnect() // the subscription is gone
			fl.servers[0].Do("DEL", "job:redtick:{job}:wait")
			released = time.Now()
			ok(t, held.Unlock(t.Context()))
		})
		lease := must[*redlock.Lease](t)(b.mutex(t, "job").Lock(t.Context()))
		if late := time.Since(released); late > 3*time.Second {
			t.Errorf("served %v after the release", late)
		}
		ok(t, lease.Unlock(t.Context()))
	})
}

// A waiter that dies in line does not hold up those behind it for longer than a back-off.
func TestLock_deadWaiter(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a, dead, b := fl.process("a").mutex(t, "job"), fl.process("dead"), fl.process("b").mutex(t, "job")
		held := must[*redlock.Lease](t)(a.Lock(t.Context()))
		ctx, die := context.WithCancel(t.Context())
		go func() { _, _ = dead.mutex(t, "job").Lock(ctx) }()
		time.Sleep(time.Second)
		for _, l := range dead.links {
			l.Hang()
		}
		die()
		time.AfterFunc(5*time.Second, func() { ok(t, held.Unlock(t.Context())) })
		begin := time.Now()
		ok(t, must[*redlock.Lease](t)(b.Lock(t.Context())).Unlock(t.Context()))
		if took := time.Since(begin); took > 8*time.Second {
			t.Errorf("served after %v", took)
		}
		for _, l := range dead.links {
			l.Heal()
		}
	})
}

// Processes that died stay in line. A release goes on until it reaches one that listens.
func TestLock_deadWaitersInLine(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		held := must[*redlock.Lease](t)(fl.process("a").mutex(t, "job").Lock(t.Context()))
		for _, s := range fl.servers {
			for _, gone := range []string{"x", "y", "z"} {
				s.Do("ZADD", "job:redtick:{job}:wait", "1", gone)
			}
		}
		var released time.Time
		time.AfterFunc(20*time.Second, func() {
			released = time.Now()
			ok(t, held.Unlock(t.Context()))
		})
		lease := must[*redlock.Lease](t)(fl.process("b").mutex(t, "job").Lock(t.Context()))
		if late := time.Since(released); late > 50*time.Millisecond {
			t.Errorf("woken %v after the release", late)
		}
		ok(t, lease.Unlock(t.Context()))
	})
}

// A free name is locked in one round trip, although the link is slower than the node timeout.
//
// Seen to fail when a Lock's round waits for one node timeout: then each vote queues behind the late release of the one before, and
// with one node there was no lock after a minute.
func TestLock_slowLink(t *testing.T) {
	for _, nodes := range []int{1, 3, 5} {
		inBubble(t, nodes, func(t *testing.T, fl *fleet) {
			p := fl.process("a", redlock.WithTTL(time.Second))                                           // a node timeout of 100 ms
			ok(t, must[*redlock.Lease](t)(p.mutex(t, "other").TryLock(t.Context())).Unlock(t.Context())) // an old server refuses the first SET NX GET
			p.delay(85*time.Millisecond, 95*time.Millisecond)
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			lease, err := p.mutex(t, "job").Lock(ctx)
			if took := time.Since(begin); err != nil || took > 200*time.Millisecond {
				t.Errorf("%d nodes, after %v: %v", nodes, took, err)
			}
			if lease != nil {
				ok(t, lease.Unlock(ctx))
			}
		})
	}
}

// The first node hangs: waiters get in line on the next.
func TestLock_firstNodeHangs(t *testing.T) {
	inBubble(t, 5, func(t *testing.T, fl *fleet) {
		a, b := fl.process("a"), fl.process("b")
		fl.servers[0].Freeze()
		held := must[*redlock.Lease](t)(a.mutex(t, "job").Lock(t.Context()))
		var released time.Time
		time.AfterFunc(20*time.Second, func() {
			released = time.Now()
			ok(t, held.Unlock(t.Context()))
		})
		lease := must[*redlock.Lease](t)(b.mutex(t, "job").Lock(t.Context()))
		if late := time.Since(released); late > 50*time.Millisecond {
			t.Errorf("woken %v after the release", late)
		}
		ok(t, lease.Unlock(t.Context()))
		fl.servers[0].Thaw()
	})
}

func TestLock_cancelled(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a")
		held := must[*redlock.Lease](t)(p.mutex(t, "job").Lock(t.Context()))
		for range 2 { // the first in line, and one behind it
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _, _ = p.mutex(t, "job").Lock(ctx) }()
			defer cancel()
			time.Sleep(time.Second)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		begin := time.Now()
		if _, err := p.mutex(t, "job").Lock(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %v to end, want 1s", took)
		}
		ok(t, held.Unlock(t.Context()))
	})
}

// notified calls then as soon as it has passed on a release notice, before the caller that it wakes can vote.
type notified struct {
	*redlocktest.Node
	then func()
}

func (n notified) Subscribe(ctx context.Context, channel string, ready func(), deliver func(string)) error {
	return n.Node.Subscribe(ctx, channel, ready, func(message string) {
		deliver(message)
		n.then()
	})
}

// One or two waiters of a process give up between the notice and their vote. No vote of theirs is taken back, which would wake others.
//
// Seen to fail when the last waiter just leaves, and when the second does not inherit the notice.
func TestLock_noticeIsPassedOn(t *testing.T) {
	for waiters := 1; waiters <= 2; waiters++ {
		for range 20 { // a caller may be quicker, and vote
			inBubble(t, 1, func(t *testing.T, fl *fleet) {
				slow := redlock.WithBackoff(func(int) time.Duration { return 10 * time.Second })
				held := must[*redlock.Lease](t)(fl.process("a").mutex(t, "job").Lock(t.Context()))
				var leave [2]context.CancelFunc
				node := notified{redlocktest.Nodes(fl.servers, "b")[0].(*redlocktest.Node), func() { leave[0]() }}
				b := must[*redlock.Locker](t)(redlock.New([]driver.Node{node}, redlock.WithHolder("b"), redlock.WithObserver(func(redlock.Event) {})))
				fl.lockers = append(fl.lockers, b)
				m := must[*redlock.Mutex](t)(b.NewMutex("job", slow))
				for i := range waiters {
					ctx, cancel := context.WithCancel(t.Context())
					leave[i] = cancel
					go func() {
						if lease, err := m.Lock(ctx); err == nil {
							ok(t, lease.Unlock(t.Context()))
						}
						if i+1 < waiters {
							leave[i+1]()
						}
					}()
					time.Sleep(time.Second)
				}
				if late := nextAfter(t, held, fl.process("c").mutex(t, "job", slow)); late > 200*time.Millisecond {
					t.Errorf("%d waiters gave up: the next process got the lock %v after its release", waiters, late)
				}
			})
		}
	}
}

// nextAfter gets m in line, unlocks held, and returns how long after the release m got the lock.
func nextAfter(t *testing.T, held *redlock.Lease, m *subject) time.Duration {
	t.Helper()
	var got time.Time
	var waiting sync.WaitGroup
	waiting.Go(func() {
		lease := must[*redlock.Lease](t)(m.Lock(t.Context()))
		got = time.Now()
		ok(t, lease.Unlock(t.Context()))
	})
	time.Sleep(time.Second)
	released := time.Now()
	ok(t, held.Unlock(t.Context()))
	waiting.Wait()
	return got.Sub(released)
}

// A key that never expires is other data. Waiting for it costs no more than any
// other wait.
//
// Seen to fail when a line's answer for such a key is that it expires at once.
func TestLock_keyThatNeverExpires(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		for _, s := range fl.servers {
			s.Do("SET", "job", "somebody's data")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		before := fl.servers[0].Batches()
		if _, err := fl.process("a").mutex(t, "job").Lock(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, redlock.ErrTaken) {
			t.Errorf("got %v, want DeadlineExceeded and ErrTaken", err)
		}
		if n := fl.servers[0].Batches() - before; n > 200 {
			t.Errorf("%d batches in ten seconds", n)
		}
	})
}

// Lock says that ctx has ended, even if it does so in the instant of a refusal.
//
// Seen to fail when a refusal that comes with the end is returned alone.
func TestLock_endOfContextIsTold(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		held := must[*redlock.Lease](t)(fl.process("a").mutex(t, "job").Lock(t.Context()))
		p := fl.process("b")
		p.delay(10*time.Millisecond, 10*time.Millisecond)
		m := p.mutex(t, "job")
		for range 500 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // the answer comes after 20 ms
			if _, err := m.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v, want DeadlineExceeded", err)
			}
			cancel()
		}
		ok(t, held.Unlock(t.Context()))
	})
}

// The error of a wait that its caller ended has the holder where errors.As looks.
//
// Seen to fail while only the second of two joined errors had it.
func TestLock_endOfContextHasTheHolder(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		held := must[*redlock.Lease](t)(fl.process("a").mutex(t, "job").Lock(t.Context()))
		m := fl.process("b").mutex(t, "job", redlock.WithTakeover())
		for name, wait := range map[string]func(context.Context) (*redlock.Lease, error){
			"Lock":  m.Lock,
			"Await": func(ctx context.Context) (*redlock.Lease, error) { return m.Await(ctx, time.Now()) },
		} {
			for limit := time.Duration(0); limit < 3*time.Second; limit += 100 * time.Millisecond {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				_, err := wait(ctx)
				cancel()
				refusal, _ := errors.AsType[*redlock.Error](err)
				if limit > 0 && (refusal == nil || refusal.Reason != context.DeadlineExceeded || refusal.Holder != held.Token() || len(refusal.RefusedBy) < 2) {
					t.Fatalf("%s after %v: %+v, want DeadlineExceeded and the holder", name, limit, refusal)
				}
			}
		}
		ok(t, held.Unlock(t.Context()))
	})
}

// Two processes that hand a lock to each other do not both wait for the other: a process yields to a waiter once for each hand-off.
//
// Seen to fail, with rests of 250 ms, when it does so for 250 ms after one.
func TestLock_twoTakeTurns(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var all sync.WaitGroup
		var mu sync.Mutex
		free, longest, over := time.Now(), time.Duration(0), false
		for _, name := range []string{"a", "b"} {
			p := fl.process(name)
			p.delay(0, time.Millisecond)
			m := p.mutex(t, "job")
			all.Go(func() {
				for range 500 {
					lease := must[*redlock.Lease](t)(m.Lock(t.Context()))
					mu.Lock()
					if !over {
						longest = max(longest, time.Since(free))
					}
					mu.Unlock()
					ok(t, lease.Unlock(t.Context()))
					mu.Lock()
					free = time.Now()
					mu.Unlock()
				}
				mu.Lock()
				over = true // the other may let this one go first once more
				mu.Unlock()
			})
		}
		all.Wait()
		if longest > 100*time.Millisecond {
			t.Errorf("the lock was free for %v while both wanted it", longest)
		}
	})
}

// Callers that give up behind the first in line cost the nodes nothing.
//
// Seen to fail when each of them has the first ask again.
func TestLock_giveUpBehindTheFirst(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		m := fl.process("a").mutex(t, "job", redlock.WithBackoff(func(int) time.Duration { return time.Hour }))
		held := must[*redlock.Lease](t)(m.Lock(t.Context()))
		var waiting sync.WaitGroup
		waiting.Go(func() { ok(t, must[*redlock.Lease](t)(m.Lock(t.Context())).Unlock(t.Context())) })
		time.Sleep(time.Millisecond)
		before := fl.servers[0].Commands("SET")
		for i := range 100 {
			waiting.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Millisecond)
				defer cancel()
				_, _ = m.Lock(ctx)
			})
		}
		time.Sleep(time.Second)
		if n := fl.servers[0].Commands("SET") - before; n != 0 {
			t.Errorf("%d votes while 100 callers gave up, want none", n)
		}
		ok(t, held.Unlock(t.Context()))
		waiting.Wait()
	})
}

// A caller that gives up before its process is subscribed leaves the subscription to the next one.
//
// Seen to fail when the end of its context counts as a subscription that does not come.
func TestLock_giveUpBeforeTheSubscription(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		a, b := fl.process("a"), fl.process("b")
		b.delay(100*time.Millisecond, 100*time.Millisecond)
		slow := redlock.WithBackoff(func(int) time.Duration { return 4 * time.Second })
		held := must[*redlock.Lease](t)(a.mutex(t, "job").Lock(t.Context()))
		must[*redlock.Lease](t)(a.mutex(t, "other").Lock(t.Context()))
		impatient, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond) // it is refused after 200 ms
		defer cancel()
		go func() { _, _ = b.mutex(t, "other", slow).Lock(impatient) }()
		time.Sleep(100 * time.Millisecond)
		var released time.Time
		time.AfterFunc(time.Second, func() {
			released = time.Now()
			ok(t, held.Unlock(t.Context()))
		})
		lease := must[*redlock.Lease](t)(b.mutex(t, "job", slow).Lock(t.Context()))
		if late := time.Since(released); late > 500*time.Millisecond {
			t.Errorf("woken %v after the release", late)
		}
		ok(t, lease.Unlock(t.Context()))
	})
}

// A place in line is a time by the clock of one node, and means nothing on another.
//
// Seen to fail when a waiter takes its place along to the next node: it stood an hour behind all others.
func TestLock_placeIsOfOneNode(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		fl.servers[0].SetClock(time.Hour, 1)
		seldom := redlock.WithBackoff(func(int) time.Duration { return time.Hour })
		held := must[*redlock.Lease](t)(fl.process("holder").mutex(t, "job").TryLock(t.Context()))
		served := make(chan string, 2)
		wait := func(name string) {
			m := fl.process(name, seldom).mutex(t, "job")
			go func() {
				lease := must[*redlock.Lease](t)(m.Lock(t.Context()))
				served <- name
				time.Sleep(time.Second)
				ok(t, lease.Unlock(t.Context()))
			}()
		}
		wait("first")
		time.Sleep(time.Second)
		fl.servers[0].Freeze()
		defer fl.servers[0].Thaw()
		time.Sleep(2 * time.Minute) // it gets in line on the second node
		wait("second")
		time.Sleep(2 * time.Minute)
		ok(t, held.Unlock(t.Context()))
		if a, b := <-served, <-served; a != "first" {
			t.Errorf("served %s, %s", a, b)
		}
		time.Sleep(time.Minute)
	})
}

// The error of a call that ends in line says that it was in line, as it has asked no node.
//
// Seen to fail when it says no more than that its context ended.
func TestLock_endsInLine(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		m := fl.process("a").mutex(t, "job")
		lease := must[*redlock.Lease](t)(m.Lock(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		for i, want := range []string{"taken by another owner", "still in line"} {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				if _, err := m.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), want) {
					t.Errorf("call %d: %v, want one that says %q", i+1, err, want)
				}
			})
		}
		all.Wait()
		ok(t, lease.Unlock(t.Context()))
	})
}
