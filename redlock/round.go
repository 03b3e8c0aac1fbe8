package redlock

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// round is one attempt at a vote. Each has a fresh token, so nothing that is late from one round can touch another.
type round struct {
	t       *target
	a       *acquisition
	token   string
	request quorum.Request
	poll    *quorum.Poll
	first   int  // the node that was asked before the others, or -1
	looked  bool // the others were only asked who is there
}

func (t *target) newRound(ctx context.Context, a *acquisition) (*round, error) {
	if err := t.locker.usable(ctx); err != nil {
		return nil, err
	}
	random, err := t.locker.tokens.next()
	if err != nil {
		return nil, err
	}
	r := &round{t: t, a: a, token: protocol.Token(t.cfg.holder, random, a.tick), first: -1}
	if a.tick != 0 && a.token != "" {
		a.former = append(a.former[max(0, len(a.former)-7):], a.token)
	}
	a.token = r.token
	if a.tick != 0 {
		r.request = t.name.Claim(a.tick, r.token, t.cfg.owner)
	} else {
		r.request = t.name.Acquire(r.token)
	}
	return r, nil
}

// vote asks all nodes at once, unless the vote was split before.
func (r *round) vote(ctx context.Context, probe *orderedProbe) (quorum.Tally, error) {
	if probe.on {
		return r.voteInOrder(ctx, probe.first)
	}
	r.poll = r.t.locker.group.Ask(ctx, r.request, time.Now().Add(r.t.cfg.validity()), quorum.Vote)
	return r.wait(ctx)
}

// wait gives up on nodes that do not answer, not on nodes that are busy: as long as a missing answer comes from one that
// keeps answering others, and would still be in time, it is waited for.
func (r *round) wait(ctx context.Context) (quorum.Tally, error) {
	limit := r.t.cfg.nodeTimeout
	if r.a.tick != 0 {
		limit *= 2 // as long as a pipeline waits: a new vote would go behind this one, and others may have been told who is ahead
	}
	for {
		tally, err := r.poll.Wait(ctx, limit)
		if err != nil || tally.Certain() || !r.poll.Responsive(&tally) || time.Since(r.poll.Start) > r.t.cfg.validity()/2 {
			return tally, err
		}
		limit = max(r.t.cfg.nodeTimeout/4, time.Millisecond)
	}
}

// lease makes a round that was won a lease, if its validity has not ended by now. That is checked after counting, since
// the votes may have come slowly.
func (r *round) lease(ctx context.Context, tally quorum.Tally, err error) (*Lease, error) {
	if err != nil || !tally.Won() || r.t.locker.isClosed() {
		return nil, err
	}
	fence := r.a.tick * 1000 // in microseconds, as counters are, so that a name may turn fencing on
	if r.t.cfg.anyOrder && !r.t.cfg.triggered {
		fence = 0 // ticks that come in any order are no order
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

// fence picks the number of this round's lease: the largest among its own grants. It counts only once it stands on a
// majority, where the counter was seen or set to at least that while the lock was ours. Usually the first answers agree
// already and nothing is sent. It is 0 when it does not stand: the lock was lost meanwhile, or counters were.
func (r *round) fence(ctx context.Context, tally quorum.Tally) (int64, error) {
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

// pause comes before the next round. After a split vote it lasts about as long as the round took, so that contenders come apart.
func (r *round) pause(ctx context.Context, result outcome, try int) {
	length := min(time.Since(r.poll.Start), 20*time.Millisecond)
	if result == unanswered {
		length, try = r.t.cfg.nodeTimeout/4, min(try, 2)
	}
	r.t.locker.pause(ctx, r.t.jitter(length, try))
}

// abort takes back what this round won or may still win. Pipelines send it before new votes, so it also comes before our
// next round's.
func (r *round) abort() {
	abort := r.t.name.Abort(r.token, r.a.tick)
	r.poll.GiveUp(func(node int, c quorum.Class) {
		until := r.t.releaseDeadline()
		if begin := r.a.late.begin; c == quorum.Chase && !begin.IsZero() {
			// A node that hangs executes the vote when it resumes, and would then take from the claim the tick that it asks for again.
			until = until.Add(max(time.Until(begin.Add(r.t.cfg.lateness)), 0))
		}
		r.t.locker.group.Pipelines[node].Deliver(abort.Request, until, c == quorum.Chase)
	})
}

// releaseDeadline is when a node's lock has expired, so that nothing is owed to it any more.
func (t *target) releaseDeadline() time.Time { return time.Now().Add(t.cfg.ttl + time.Second) }
