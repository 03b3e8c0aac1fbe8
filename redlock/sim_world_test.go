package redlock_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// world is one run of a plan: servers, replicas, and what became of them.
type world struct {
	t        *testing.T
	plan     *plan
	skip     []int // faults of the plan that do not happen
	luck     *rand.Rand
	start    time.Time
	servers  []*redlocktest.Server
	replicas []*replica
	history
}

const simName = "sim"

// simulate runs a seed in a bubble of its own.
func simulate(t *testing.T, seed uint64, skip []int) (w *world) {
	defer func() {
		// A deadlock or a goroutine that is left over panics out of the bubble.
		if p := recover(); p != nil {
			panic(fmt.Sprintf("seed %d: %v\n%s", seed, p, replay(seed, skip)))
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w = &world{t: t, plan: newPlan(seed), skip: skip, start: time.Now()}
		w.build()
		w.live()
		w.settle()
		w.check()
		w.leave()
	})
	return w
}

func (w *world) build() {
	p := w.plan
	r := stream(p.seed, "world")
	w.luck = r
	w.servers = redlocktest.Servers(p.servers)
	for _, s := range w.servers {
		// Validity allows for 1 % and 2 ms.
		s.SetClock(between(r, -p.skew(), p.skew()), 0.991+0.018*r.Float64())
	}
	for i := range p.replicas {
		w.replicas = append(w.replicas, w.newReplica(i))
	}
	if p.guard {
		if err := bootstrap(context.Background(), w.replicas[0].Locker); err != nil {
			w.violate("Bootstrap of a fresh fleet: %v", err)
		}
	}
	w.start = time.Now()
}

// live lets the replicas work while things go wrong, until everybody is done and everything was healed.
func (w *world) live() {
	var work, faults sync.WaitGroup
	for _, r := range w.replicas {
		work.Go(r.work)
	}
	work.Go(w.operate)
	faults.Go(w.misbehave)
	faults.Wait()
	w.heal()
	work.Wait()
}

func (w *world) heal() {
	w.record(-1, "everything is healed")
	for _, s := range w.servers {
		s.Thaw()
		s.Answer("")
	}
	for _, r := range w.replicas {
		if r.killed() {
			continue
		}
		for _, l := range r.links {
			l.hangs, l.flaky = 0, 0
			l.settle()
			l.node.Delay(l.low, l.high)
		}
	}
}

// settle closes the lockers of the living and waits until what they left behind must be gone.
func (w *world) settle() {
	for _, r := range w.replicas {
		if !r.killed() {
			w.close(r)
		}
	}
	if w.plan.weather == calm || w.plan.weather == refusals {
		w.checkLocksAreGone("right after Close")
	}
	// Leases that were never unlocked, and copies of votes that came late.
	time.Sleep(4*w.plan.ttl + time.Second)
	w.checkLocksAreGone("long after Close")
}

func (w *world) close(r *replica) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*w.plan.ttl+time.Minute)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		w.violate("G4: Close of replica %d: %v", r.id, err)
	}
}

// leave ends the goroutines of the killed.
func (w *world) leave() {
	for _, r := range w.replicas {
		if r.killed() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			_ = r.Close(ctx)
			cancel()
		}
	}
}

func (w *world) newReplica(id int) *replica {
	p := w.plan
	name := fmt.Sprintf("r%d", id)
	r := &replica{id: id, w: w, dead: make(chan struct{}), random: stream(p.seed, "work "+name)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	setup := stream(p.seed, "setup "+name)
	nodes := redlocktest.Nodes(w.servers, name)
	for i, n := range nodes {
		subject := fmt.Sprintf("link %d %d", id, i)
		l := &link{node: n.(*redlocktest.Node), ttl: p.ttl, random: stream(p.seed, subject), low: 10 * time.Microsecond}
		l.high = l.low + between(setup, p.delay/4, p.delay)
		l.node.Delay(l.low, l.high)
		l.node.Seed(l.random.Uint64())
		l.deaf = setup.IntN(3) == 0
		l.node.IgnoreDeadline(l.deaf)
		l.node.Timeout(between(setup, p.ttl*3/10, p.ttl))
		if !l.deaf {
			nodes[i] = punctual{l.node}
		}
		r.links = append(r.links, l)
	}
	r.Locker = must[*redlock.Locker](w.t)(redlock.New(nodes, append(p.options(), r.seeded(name)...)...))
	r.m = subjectOn(w.t, r.Locker, simName)
	r.offset = between(setup, -min(p.skew(), time.Second)/4, 3*p.period)
	if id == 0 || setup.IntN(2) == 0 {
		r.offset = between(setup, 0, p.delay) // as good as the same instant
	}
	return r
}

// seeded takes the chance out of a replica.
func (r *replica) seeded(name string) []redlock.LockerOption {
	tokens, pauses := stream(r.w.plan.seed, "tokens "+name), stream(r.w.plan.seed, "pauses "+name)
	var mu sync.Mutex
	return append(seededJitter(pauses, &mu),
		redlock.WithHolder(name), redlock.Unobserved(),
		redlock.WithTokenFunc(func() (string, error) {
			mu.Lock()
			defer mu.Unlock()
			return fmt.Sprintf("%016x", tokens.Uint64()), nil
		}),
		redlock.WithBackoff(func(int) time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return between(pauses, r.w.plan.ttl/20, r.w.plan.ttl/5)
		}))
}

// keysWith lists the live keys whose name contains part, by server.
func (w *world) keysWith(part string) (found []serverKey) {
	for i, s := range w.servers {
		for _, k := range s.Keys() {
			if strings.Contains(k, part) {
				found = append(found, serverKey{i, k})
			}
		}
	}
	return found
}

type serverKey struct {
	server int
	key    string
}
