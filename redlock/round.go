package redlock

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// round is one vote. Each has a fresh token, so that a late message of one round cannot affect another.
type round struct {
	t      *target
	a      *acquisition
	token  string
	poll   *quorum.Poll
	looked bool // in an ordered vote: the first node refused, so the others were only asked who holds the name
	first  int  // in an ordered vote: the node that was asked first
}

func (t *target) newRound(ctx context.Context, a *acquisition) (*round, error) {
	if err := t.locker.stopped(ctx); err != nil {
		return nil, err
	}
	random, err := t.locker.tokens.next()
	if err != nil {
		return nil, err
	}
	r := &round{t: t, a: a, token: protocol.Token(t.cfg.holder, random, a.tick)}
	if a.tick != 0 && a.token != "" {
		a.former = append(a.former, maphash.String(formerSeed, a.token)) // keep all: in an outage a late claim has hundreds, and may meet any of them
	}
	a.token = r.token
	return r, nil
}

// request asks a node to vote for this round's token.
func (r *round) request() quorum.Request {
	if r.a.tick != 0 {
		return r.t.name.Claim(r.a.tick, r.token, r.t.cfg.owner)
	}
	return r.t.name.Acquire(r.token)
}

// vote puts a request of this round to all nodes at once.
func (r *round) vote(ctx context.Context, request quorum.Request) error {
	r.poll = r.t.locker.group.Ask(ctx, request, time.Now().Add(r.t.cfg.validity()), pipeline.Vote)
	return r.poll.Wait(ctx, r.limit(), r.t.cfg.validity()/2)
}

// limit returns how long a round waits for nodes that do not answer. For a claim or a waiting lock that is as long as a pipeline
// waits. A new round's vote would not be sent sooner, and losers that have met this round's may have given up the tick.
func (r *round) limit() time.Duration {
	if r.a.tick != 0 || r.a.waits {
		return pipeline.LateTimeouts * r.t.cfg.nodeTimeout
	}
	return r.t.cfg.nodeTimeout
}

// lease returns the lease of a round that was won, or nil. The validity is checked after the votes are counted, since they may
// have come slowly.
func (r *round) lease(ctx context.Context, tally *quorum.Tally, err error) (*Lease, error) {
	if err != nil || !tally.Won() || r.t.locker.closing.Err() != nil {
		return nil, err
	}
	fence := r.a.tick * 1000 // in microseconds like the counters, so that fencing can be turned on later; 0 for a lock
	if r.t.cfg.anyOrder && !r.t.cfg.triggered {
		fence = 0 // ticks in any order need not grow
	}
	if r.t.cfg.fencing {
		if fence, err = r.fence(ctx, tally); fence == 0 {
			return nil, err
		}
	}
	until := r.poll.Start.Add(r.t.cfg.validity())
	if over(time.Now(), until) {
		return nil, nil
	}
	return newLease(ctx, r, fence, until), nil
}

// fence returns the fence of this round's lease, the largest among its grants. It counts only once it stands on a majority, which
// means that the counters there are at least as large and were read while the lock was ours. Usually the grants agree and nothing
// is sent. If it does not stand, because the lock or counters were lost meanwhile, fence returns 0.
func (r *round) fence(ctx context.Context, tally *quorum.Tally) (int64, error) {
	fence, stands := tally.Fence()
	if stands {
		return fence, nil
	}
	standing, err := r.t.poll(ctx, r.t.name.Stand(r.token, fence))
	if err != nil || !standing.Won() {
		return 0, err
	}
	return fence, nil
}

// abort takes back the votes that this round won or may still win. Pipelines send aborts before new votes, and so before our
// next round's. With wake it also wakes a waiter that may have met these votes: after a call that was cancelled, nobody else does.
func (r *round) abort(wake bool) {
	// A hung node executes the vote once it resumes, and would refuse this claim if it is still asking for the tick then.
	asksUntil := r.a.asked.Add(r.t.cfg.lateness)
	r.poll.GiveUp(func(node int, c pipeline.Class) {
		r.t.locker.group.Pipelines[node].Post(&pipeline.Call{Request: r.t.name.Abort(r.token, r.a.tick).Request, To: pipeline.Discard{},
			Class: c, Until: r.t.releaseDeadline(), ChaseUntil: asksUntil}, time.Now())
		if wake {
			r.t.locker.group.Pipelines[node].Send(r.t.name.Release(r.token, true).Request, time.Now().Add(time.Second), pipeline.Question)
		}
	})
}

// releaseDeadline returns when a lock that is set now has expired for certain, so that its release need not be sent any more.
func (t *target) releaseDeadline() time.Time { return time.Now().Add(t.cfg.ttl + time.Second) }
