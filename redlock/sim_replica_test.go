package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
)

// replica is one process. Its clock differs from the others' by offset: it asks for ticks early or late.
type replica struct {
	*redlock.Locker
	id     int
	w      *world
	m      *subject
	links  []*link
	offset time.Duration
	random *rand.Rand

	ctx    context.Context
	cancel context.CancelFunc
	dead   chan struct{}
	die    sync.Once
}

// kill: nothing that this process does from now on reaches anybody.
func (r *replica) kill() { r.die.Do(func() { close(r.dead); r.cancel() }) }

func (r *replica) killed() bool {
	select {
	case <-r.dead:
		return true
	default:
		return false
	}
}

func (r *replica) work() {
	switch r.w.plan.mode {
	case "lock", "fence":
		r.lockAgainAndAgain()
	case "elector":
		r.campaign()
	case "any order":
		r.workOffQueue()
	case "spacing":
		r.everyPeriod()
	default:
		r.everyTick()
	}
}

// patient returns a context for one acquisition. In a storm callers give up, some before they have begun.
func (r *replica) patient() (context.Context, context.CancelFunc) {
	limit := 200*r.w.plan.ttl + time.Minute
	if r.w.plan.weather == storm {
		limit = between(r.random, 0, 10*r.w.plan.ttl)
		if r.random.IntN(4) == 0 {
			limit = between(r.random, 0, r.w.plan.ttl/10)
		}
	}
	return context.WithTimeout(r.ctx, limit)
}

func (r *replica) lockAgainAndAgain() {
	p := r.w.plan
	for range p.ticks {
		time.Sleep(between(r.random, 0, p.ttl))
		if r.killed() {
			return
		}
		ctx, stop := r.patient()
		op, acquire := "lock", r.m.Lock
		if r.random.IntN(3) == 0 {
			op, acquire = "trylock", r.m.TryLock
		}
		lease, err := acquire(ctx)
		if g := r.outcome(op, 0, "", lease, err); g != nil {
			r.run(g)
		}
		stop()
	}
}

// everyTick is a schedule with ticks that all replicas share.
func (r *replica) everyTick() {
	for k := range r.w.plan.ticks {
		tick := r.w.tick(k)
		time.Sleep(time.Until(tick.Add(r.offset)))
		if r.killed() {
			return
		}
		r.claim(r.m, tick, "")
	}
}

// everyPeriod is a schedule that began when the replica did.
func (r *replica) everyPeriod() {
	p := r.w.plan
	time.Sleep(between(r.random, 0, p.period))
	next := time.Now()
	for range p.ticks {
		time.Sleep(time.Until(next))
		if r.killed() {
			return
		}
		r.claim(r.m, time.Now(), "")
		next = next.Add(p.period)
	}
}

// workOffQueue asks for ticks in any order, as tasks of two queues that may both have the tick, and some of them again.
func (r *replica) workOffQueue() {
	p := r.w.plan
	for _, k := range r.random.Perm(p.ticks) {
		time.Sleep(between(r.random, 0, p.period))
		owner := fmt.Sprintf("task %d of queue %d", k, r.random.IntN(2))
		m := subjectOn(r.w.t, r.Locker, simName, redlock.WithOwner(owner))
		for range 1 + r.random.IntN(2) {
			if r.killed() {
				return
			}
			for !r.claim(m, r.w.tick(k), owner) && p.weather != storm {
				time.Sleep(between(r.random, 0, p.period)) // as queues do when another task of the name runs
			}
		}
	}
}

// claim asks for a tick and runs it. It reports whether the tick's fate is known.
func (r *replica) claim(m *subject, tick time.Time, owner string) bool {
	ctx, stop := r.patient()
	defer stop()
	asked := r.w.now()
	lease, err := m.Await(ctx, tick)
	if g := r.outcomeOf(asked, "claim", tick.UnixMilli(), owner, lease, err); g != nil {
		r.run(g)
	}
	return !errors.Is(err, redlock.ErrTaken) && !errors.Is(err, redlock.ErrClockSkew)
}

// run is the job, and then the unlock. Some jobs stop when the lease is lost, some do not care; a job of a killed replica
// never comes to its unlock.
func (r *replica) run(g *grant) {
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	job := r.w.plan.job(r.random)
	if r.random.IntN(4) == 0 {
		time.Sleep(job / 2)
		r.w.record(r.id, "extend: %v", reason(g.lease.Extend(ctx)))
		job /= 2
	}
	if r.random.IntN(2) == 0 {
		select {
		case <-time.After(job):
		case <-g.lease.Context().Done():
		}
	} else {
		time.Sleep(job)
	}
	if r.killed() {
		return
	}
	if r.random.IntN(3) == 0 {
		stop() // schedulers cancel a job's context before they unlock
	}
	r.unlock(ctx, g)
}

func (r *replica) unlock(ctx context.Context, g *grant) {
	if g.owner == "" && g.tick == 0 && r.random.IntN(8) == 0 {
		if token, err := g.lease.Detach(); err == nil {
			lease, err := r.m.Adopt(ctx, token)
			if g = r.outcome("adopt", 0, "", lease, err); g == nil {
				return
			}
		}
	}
	r.w.released(g, g.lease.Unlock(ctx))
}

// job is short enough for the next tick, unless there is a storm.
func (p *plan) job(r *rand.Rand) time.Duration {
	if p.weather == storm {
		return between(r, 0, pick(r, p.ttl/10, p.ttl, 3*p.ttl))
	}
	return between(r, 0, p.period/4)
}

// campaign runs an elector. Leadership is work for which there must be only one.
func (r *replica) campaign() {
	e := must[*redlock.Elector](r.w.t)(redlock.NewElector(r.m.Mutex))
	time.Sleep(between(r.random, 0, r.w.plan.ttl))
	ctx, stop := context.WithTimeout(r.ctx, between(r.random, r.w.plan.length(), r.w.plan.length()+5*r.w.plan.ttl))
	defer stop()
	r.w.electors.add(r.id, e)
	err := e.Run(ctx, func(term context.Context) error {
		g := r.w.leads(r, term)
		select {
		case <-term.Done():
		case <-time.After(r.w.plan.job(r.random) * 4):
			if r.random.IntN(2) == 0 {
				e.Resign()
			}
		}
		r.w.steppedDown(g)
		return nil
	})
	r.w.record(r.id, "run ended: %v", reason(err))
}

// outcome notes what came of an acquisition.
func (r *replica) outcome(op string, tick int64, owner string, lease *redlock.Lease, err error) *grant {
	return r.outcomeOf(r.w.now(), op, tick, owner, lease, err)
}

func (r *replica) outcomeOf(asked time.Duration, op string, tick int64, owner string, lease *redlock.Lease, err error) *grant {
	if (lease == nil) == (err == nil) {
		r.w.violate("%s returned %v, %v", op, lease, err)
	}
	if err != nil {
		r.w.refused(r, op, tick, asked, err)
		return nil
	}
	g := r.w.granted(r, op, owner, lease)
	g.asked = asked
	return g
}

// tick is the instant of tick k. The ticks of a queue are old, unless the guard would refuse them for that.
func (w *world) tick(k int) time.Time {
	if w.plan.mode == "any order" && !w.plan.guard {
		return w.start.Truncate(time.Millisecond).Add(-time.Duration(k) * 20 * time.Minute)
	}
	return w.start.Truncate(time.Millisecond).Add(lead + time.Duration(k)*w.plan.period)
}
