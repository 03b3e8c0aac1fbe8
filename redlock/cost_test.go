package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// What an operation costs is pinned by counts, which are exact: round trips, commands, goroutines, allocations.

// trips is how many batches each server has received since the last call.
type trips struct {
	fl     *fleet
	before []int
}

func (c *trips) since() (n []int) {
	synctest.Wait()
	for i, s := range c.fl.servers {
		if len(c.before) <= i {
			c.before = append(c.before, 0)
		}
		n = append(n, s.Batches()-c.before[i])
		c.before[i] = s.Batches()
	}
	return n
}

func TestCost_roundTrips(t *testing.T) {
	for _, nodes := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			inBubble(t, nodes, func(t *testing.T, fl *fleet) {
				const rtt = 10 * time.Millisecond
				p, other := fl.process("a"), fl.process("b")
				m, fenced := p.mutex(t, "job"), p.mutex(t, "fenced", redlock.WithFencing())
				p.delay(rtt/2, rtt/2)
				other.delay(rtt/2, rtt/2)
				warmUp(t, m, fenced, other.mutex(t, "job"))
				var lease *redlock.Lease
				count := &trips{fl: fl}
				count.since()
				tick := time.Now()
				for _, step := range []struct {
					name   string
					trips  int           // per node
					within time.Duration // how long the caller waits
					do     func() error
				}{
					{"trylock", 1, rtt, func() (err error) { lease, err = m.TryLock(t.Context()); return err }},
					{"losing trylock", 1, rtt, func() error { _, err := other.mutex(t, "job").TryLock(t.Context()); return wantErr(err) }},
					{"extend", 1, rtt, func() error { return lease.Extend(t.Context()) }},
					{"unlock", 1, rtt, func() error { return lease.Unlock(t.Context()) }},
					{"claim, and its confirm", 2, rtt, func() (err error) { lease, err = m.Claim(t.Context(), tick); time.Sleep(rtt); return err }},
					{"losing claim", 1, rtt, func() error { _, err := other.mutex(t, "job").Claim(t.Context(), tick); return wantErr(err) }},
					{"unlock of a claim", 1, rtt, func() error { return lease.Unlock(t.Context()) }},
					{"fenced trylock", 1, rtt, func() (err error) { lease, err = fenced.TryLock(t.Context()); return err }},
					{"fenced unlock", 1, rtt, func() error { return lease.Unlock(t.Context()) }},
				} {
					begin := time.Now()
					ok(t, step.do())
					took := time.Since(begin)
					time.Sleep(3 * rtt)
					for i, n := range count.since() {
						if n != step.trips {
							t.Errorf("%s: %d round trips to server %d, want %d", step.name, n, i+1, step.trips)
						}
					}
					if step.name != "claim, and its confirm" && took != step.within {
						t.Errorf("%s took %v, want %v", step.name, took, step.within)
					}
				}
			})
		})
	}
}

// A loser asks each node once: it does not wait for the winner's confirm.
//
// Seen to fail when it asks again until the nodes have the confirm.
func TestCost_losersQuestions(t *testing.T) {
	inBubble(t, 5, func(t *testing.T, fl *fleet) {
		winner, loser := fl.process("winner"), fl.process("loser")
		warmUp(t, winner.mutex(t, "job"), loser.mutex(t, "job"))
		const rtt = 200 * time.Microsecond
		winner.delay(5*time.Millisecond, 5*time.Millisecond)
		loser.delay(rtt/2, rtt/2)
		count := &trips{fl: fl}
		count.since()
		tick := time.Now()
		go func() { must[*redlock.Lease](t)(winner.mutex(t, "job").Claim(t.Context(), tick)) }()
		time.Sleep(6 * time.Millisecond)
		begin := time.Now()
		if _, err := loser.mutex(t, "job").Claim(t.Context(), tick); !errors.Is(err, redlock.ErrTaken) {
			t.Errorf("%v, want ErrTaken", err)
		}
		if took := time.Since(begin); took != rtt {
			t.Errorf("refused after %v, want %v", took, rtt)
		}
		for i, n := range count.since() {
			if n != 2 {
				t.Errorf("%d round trips to server %d, want one of each claimer", n, i+1)
			}
		}
		time.Sleep(50 * time.Millisecond) // the winner has its lease
	})
}

// A short run costs a vote and an unlock: its confirm is left out, and the unlock marks the tick as done.
//
// Seen to fail when the confirm is sent at once, and when the unlock does not mark the tick.
func TestCost_shortRun(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		m, other := fl.process("a").mutex(t, "job"), fl.process("b").mutex(t, "job")
		warmUp(t, m, other)
		count := &trips{fl: fl}
		count.since()
		tick := time.Now()
		lease := must[*redlock.Lease](t)(m.Claim(t.Context(), tick))
		time.Sleep(5 * time.Millisecond)
		ok(t, lease.Unlock(t.Context()))
		for i, n := range count.since() {
			if n != 2 {
				t.Errorf("%d round trips to server %d, want 2", n, i+1)
			}
		}
		if _, err := other.Claim(t.Context(), tick); !errors.Is(err, redlock.ErrTickDone) {
			t.Errorf("%v, want ErrTickDone", err)
		}
	})
}

func warmUp(t *testing.T, mutexes ...*subject) {
	for _, m := range mutexes {
		lease := must[*redlock.Lease](t)(m.TryLock(t.Context()))
		ok(t, lease.Extend(t.Context()))
		ok(t, lease.Unlock(t.Context()))
		synctest.Wait()
		ok(t, must[*redlock.Lease](t)(m.Claim(t.Context(), time.Now())).Unlock(t.Context()))
		time.Sleep(time.Second)
	}
}

func wantErr(err error) error {
	if err == nil {
		return fmt.Errorf("it was granted")
	}
	return nil
}

// Callers at the same moment share batches.
func TestCost_groupCommit(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a")
		warmUp(t, p.mutex(t, "job"))
		p.delay(time.Millisecond, time.Millisecond)
		count := &trips{fl: fl}
		count.since()
		var all sync.WaitGroup
		for i := range 500 {
			m := p.mutex(t, fmt.Sprintf("job%d", i))
			all.Go(func() { ok(t, must[*redlock.Lease](t)(m.TryLock(t.Context())).Unlock(t.Context())) })
		}
		all.Wait()
		for i, n := range count.since() {
			if n > 20 {
				t.Errorf("500 locks and unlocks took %d round trips to server %d, want a few", n, i+1)
			}
		}
	})
}

// Ten thousand held leases are renewed with a handful of goroutines and a few batches per period.
func TestCost_manyLeases(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		n := scaled(10_000)
		p := fl.process("a")
		before := runtime.NumGoroutine()
		leases := make([]*redlock.Lease, n)
		for i := range leases {
			leases[i] = must[*redlock.Lease](t)(p.mutex(t, fmt.Sprintf("job%d", i)).TryLock(t.Context()))
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(10 * time.Second)
		count := &trips{fl: fl}
		count.since()
		if now := runtime.NumGoroutine(); now > before+3 {
			t.Errorf("%d goroutines more with %d leases held", now-before, n)
		}
		time.Sleep(time.Minute)
		for i, trips := range count.since() {
			if trips > 6*40 {
				t.Errorf("six renewals of %d leases took %d round trips to server %d", n, trips, i+1)
			}
		}
		for _, l := range leases {
			ok(t, l.Context().Err())
			ok(t, l.Unlock(t.Context()))
		}
	})
}

// A hung minority holds up one batch, whatever the load.
func TestCost_hungMinority(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a")
		p.links[1].IgnoreDeadline(true)
		m := p.mutex(t, "job")
		warmUp(t, m)
		fl.servers[1].Freeze()
		before := runtime.NumGoroutine()
		begin := time.Now()
		for range scaled(10_000) {
			ok(t, must[*redlock.Lease](t)(m.TryLock(t.Context())).Unlock(t.Context()))
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("a hung node cost %v", took)
		}
		if now := runtime.NumGoroutine(); now > before+3 {
			t.Errorf("%d goroutines more", now-before)
		}
		fl.servers[1].Thaw()
		time.Sleep(time.Minute)
		if left := fl.locks("job"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// silent answers every command at once and allocates nothing.
type silent struct{ replies []driver.Reply }

func (s *silent) Do(_ context.Context, commands []driver.Command) []driver.Reply {
	s.replies = s.replies[:0]
	for _, c := range commands {
		r := driver.Reply{}
		if c[0] != "SET" {
			r.Value = int64(1)
		}
		s.replies = append(s.replies, r)
	}
	return s.replies
}

// claimer answers every claim alike, and allocates nothing.
type claimer struct {
	silent
	answer []any
}

func (s *claimer) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	s.silent.Do(ctx, commands)
	for i, c := range commands {
		if c[2] == "5" { // a claim has more keys than what follows it
			s.replies[i].Value = s.answer
		}
	}
	return s.replies
}

// A history costs a claim and its unlock no command and these allocations. Raise them knowingly: one is left for other versions of Go.
func TestCost_history(t *testing.T) {
	for nodes, want := range map[int]struct{ without, with float64 }{1: {30, 35}, 5: {32, 37}} {
		for n, most := range map[int]float64{0: want.without, redlock.DefaultHistory: want.with} {
			var all []driver.Node
			for range nodes {
				all = append(all, &claimer{answer: []any{"GRANTED", "0"}})
			}
			l := must[*redlock.Locker](t)(redlock.New(all, redlock.Unobserved(), redlock.WithHistory(n)))
			j := must[*redlock.Job](t)(l.NewJob("job"))
			tick := time.UnixMilli(1)
			each := testing.AllocsPerRun(2000, func() {
				tick = tick.Add(time.Second)
				lease, err := j.Claim(context.Background(), tick)
				if err != nil {
					t.Fatal(err)
				}
				ok(t, lease.Unlock(context.Background()))
			})
			if each > most && !raceDetector {
				t.Errorf("%d nodes, a history of %d: %v allocations per claim and unlock, want at most %v", nodes, n, each, most)
			}
			ok(t, l.Close(t.Context()))
		}
	}
}

// Most claims lose: all replicas but one ask for a tick that is done. Raise this knowingly: one is left for other versions of Go.
func TestCost_loser(t *testing.T) {
	for nodes, most := range map[int]float64{1: 25, 5: 25} {
		var all []driver.Node
		for range nodes {
			all = append(all, &claimer{answer: []any{"DONE", "another"}})
		}
		l := must[*redlock.Locker](t)(redlock.New(all, redlock.Unobserved()))
		j := must[*redlock.Job](t)(l.NewJob("job"))
		tick := time.UnixMilli(1)
		each := testing.AllocsPerRun(2000, func() {
			tick = tick.Add(time.Second)
			if _, err := j.Claim(context.Background(), tick); !errors.Is(err, redlock.ErrTickDone) {
				t.Fatal(err)
			}
		})
		if each > most && !raceDetector {
			t.Errorf("%d nodes: %v allocations per lost claim, want at most %v", nodes, each, most)
		}
		ok(t, l.Close(t.Context()))
	}
}

// The core's own allocations, without a driver's: for an uncontended lock and unlock, and for a renewal. Raise them knowingly: one is left for other versions of Go.
func TestCost_allocations(t *testing.T) {
	for nodes, want := range map[int]struct{ pair, extend float64 }{1: {19, 4}, 5: {19, 4}} {
		var all []driver.Node
		for range nodes {
			all = append(all, &silent{})
		}
		l := must[*redlock.Locker](t)(redlock.New(all))
		m := subjectOn(t, l, "job")
		pair := testing.AllocsPerRun(2000, func() {
			lease, err := m.TryLock(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			ok(t, lease.Unlock(context.Background()))
		})
		lease := must[*redlock.Lease](t)(m.TryLock(t.Context()))
		extend := testing.AllocsPerRun(2000, func() { ok(t, lease.Extend(context.Background())) })
		ok(t, lease.Unlock(t.Context()))
		if (pair > want.pair || extend > want.extend) && !raceDetector { // which makes pools forget at random
			t.Errorf("%d nodes: %v allocations per lock and unlock, %v per renewal; want at most %v and %v", nodes, pair, extend, want.pair, want.extend)
		}
		t.Logf("%d nodes: %v allocations per lock and unlock, %v per renewal", nodes, pair, extend)
		ok(t, l.Close(t.Context()))
	}
}

// A caller that sends by itself is held up by a hung node for no longer than a batch may last, and not at all when its
// context ends before or somebody else's call hangs.
//
// Seen to fail when the batch may last for twice the node timeout, when Exchange does not look at the context, and when
// what others queue meanwhile is not sent afterwards.
func TestCost_loneCallerOnHungNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 400 * time.Millisecond
		server := redlocktest.NewServer()
		node := server.Node("a")
		l := must[*redlock.Locker](t)(redlock.New([]driver.Node{punctual{node}}, redlock.WithNodeTimeout(timeout), redlock.WithObserver(func(redlock.Event) {})))
		m := subjectOn(t, l, "job")
		ok(t, must[*redlock.Lease](t)(m.TryLock(t.Context())).Unlock(t.Context()))
		within := func(what string, limit time.Duration, ctx context.Context) {
			begin := time.Now()
			if _, err := m.TryLock(ctx); err == nil {
				t.Errorf("%s: granted", what)
			}
			if took := time.Since(begin); took > limit {
				t.Errorf("%s: a hung node held it up for %v, want at most %v", what, took, limit)
			}
		}
		short := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		}
		server.Freeze()
		within("with a short context", 100*time.Millisecond, short())
		server.Thaw()
		time.Sleep(5 * time.Second)
		ok(t, must[*redlock.Lease](t)(m.TryLock(t.Context())).Unlock(t.Context()))
		server.Freeze()
		var other sync.WaitGroup
		other.Go(func() {
			time.Sleep(time.Millisecond)
			within("behind another", 100*time.Millisecond, short())
		})
		within("alone", timeout*5/4, t.Context())
		other.Wait()
		server.Thaw()
		time.Sleep(5 * time.Second)
		ok(t, must[*redlock.Lease](t)(m.TryLock(t.Context())).Unlock(t.Context()))

		// What others queue while a lone caller's call is under way is sent afterwards.
		node.Delay(10*time.Millisecond, 10*time.Millisecond)
		other.Go(func() {
			time.Sleep(time.Millisecond)
			begin := time.Now()
			ok(t, must[*redlock.Lease](t)(subjectOn(t, l, "other").TryLock(t.Context())).Unlock(t.Context()))
			if took := time.Since(begin); took > 60*time.Millisecond {
				t.Errorf("another caller waited %v for three round trips of 20 ms", took)
			}
		})
		lease := must[*redlock.Lease](t)(m.TryLock(t.Context()))
		other.Wait()
		ok(t, lease.Unlock(t.Context()))
		ok(t, l.Close(t.Context()))
	})
}

// A caller that is cancelled is told so, though it may not notice before its batch is over. A node timeout that was raised for a slow
// link must not hold it up.
func TestCost_loneCallerCancelled(t *testing.T) {
	for timeout, most := range map[time.Duration]time.Duration{400 * time.Millisecond: 500 * time.Millisecond, 10 * time.Second: 100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			server := redlocktest.NewServer()
			l := must[*redlock.Locker](t)(redlock.New([]driver.Node{punctual{server.Node("a")}}, redlock.WithNodeTimeout(timeout), redlock.WithObserver(func(redlock.Event) {})))
			ctx, cancel := context.WithCancel(t.Context())
			server.Freeze()
			time.AfterFunc(100*time.Millisecond, cancel)
			begin := time.Now()
			_, err := subjectOn(t, l, "job").TryLock(ctx)
			if took := time.Since(begin); took > most || !errors.Is(err, context.Canceled) {
				t.Errorf("node timeout %v: cancelled after 100ms, returned after %v, want at most %v: %v", timeout, took, most, err)
			}
			server.Thaw()
			ok(t, l.Close(t.Context()))
		})
	}
}
