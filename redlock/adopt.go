package redlock

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// Adopt takes over a lock that is held, given its token from [Lease.Detach],
// [Mutex.Holder] or another library, and returns a lease on it. It swaps the token
// for a fresh one, so that only one of several callers succeeds. The previous holder
// finds its lease lost at its next contact with the nodes.
//
// A detached token is adopted at once. The holder of any other token may still rely
// on it, so Adopt first waits until the token's remaining time has passed, a TTL at
// most.
//
// Give m the options of the mutex or job that granted the lock. The new lease has m's
// TTL, and its fence is larger than the previous one only if both have [WithFencing].
//
// The error matches [ErrLost] if no majority holds the token any more. After any
// other error a detached lock is released, and a lock that was not is left to expire.
func (m *Mutex) Adopt(ctx context.Context, token string) (*Lease, error) {
	if token == "" {
		return nil, invalid("token is empty; pass what Lease.Detach returned")
	}
	t, a := &m.t, &acquisition{op: "adopt", begin: time.Now(), tick: protocol.TickOf(token)}
	t.locker.beginCall()
	defer t.locker.endCall()
	detached := protocol.IsDetached(token)
	if !detached {
		ours, err := t.takeFrom(ctx, a, token)
		if err != nil {
			return nil, err
		}
		token = ours
	}
	s, tally, err := t.swap(ctx, a, token, true)
	if err == nil {
		var lease *Lease
		if lease, err = s.lease(ctx, &tally, nil); lease != nil {
			t.sendWhereMissed(t.name.Bar(token), &tally) // or a late extension by its holder would restore it
			lease.report(Acquired, time.Since(a.begin), nil)
			return lease, nil
		}
	}
	if s != nil {
		s.abort(false)
	}
	if detached { // nobody else would release it
		t.sendWhereMissed(t.name.Bar(token), &tally)
	}
	return nil, t.refuse(a, &tally, t.notAdopted(&tally, err))
}

// takeFrom swaps a token on which its holder may still rely, and waits until that holder's lease has expired. It waits for the longest
// remaining time on any node, since the old token's majority and the swap's share a node. Meanwhile the key is not renewed. If the
// wait is cancelled the key is not deleted, since that would free the nodes while the old lease is valid.
func (t *target) takeFrom(ctx context.Context, a *acquisition, token string) (ours string, err error) {
	s, tally, err := t.swap(ctx, a, token, false)
	if err != nil || !tally.Won() {
		return "", t.refuse(a, &tally, t.notAdopted(&tally, err))
	}
	remaining := time.Duration(0)
	for _, answer := range tally.Answers {
		if answer.Verdict == quorum.Granted {
			remaining = max(remaining, answer.Remaining)
		}
	}
	t.locker.sleep(ctx, remaining)
	if err := t.locker.stopped(ctx); err != nil {
		return "", t.refuse(a, nil, err)
	}
	return s.token, nil
}

// swap votes to replace a token by a fresh one. unused says that nobody relies on the old token any more.
func (t *target) swap(ctx context.Context, a *acquisition, from string, unused bool) (*round, quorum.Tally, error) {
	s, err := t.newRound(ctx, a)
	if err != nil {
		return nil, quorum.Tally{}, err
	}
	tally, err := s.voteOnSwap(ctx, t.name.Swap(from, s.token, unused))
	return s, tally, err
}

// voteOnSwap puts a swap to all nodes. Unlike other votes, it may be repeated with the same token.
func (r *round) voteOnSwap(ctx context.Context, request quorum.Request) (quorum.Tally, error) {
	return r.t.twice(ctx, func() (quorum.Tally, error) {
		err := r.vote(ctx, request)
		return r.poll.Tally(), err
	})
}

// notAdopted returns why an adoption failed.
func (t *target) notAdopted(tally *quorum.Tally, err error) error {
	switch {
	case err != nil:
		return err
	case t.locker.closing.Err() != nil:
		return ErrClosed
	case tally.Blocks(tally.Refused):
		return ErrLost
	}
	return ErrNoQuorum
}

// sendWhereMissed sends a request to the nodes where a swap has not replaced the old token, until they have executed it. The tally
// has no answers if no node was asked.
func (t *target) sendWhereMissed(r quorum.Request, tally *quorum.Tally) {
	for i, p := range t.locker.group.Pipelines {
		if tally.Answers == nil || tally.Answers[i].Verdict != quorum.Granted {
			p.Send(r.Request, t.releaseDeadline(), pipeline.Release)
		}
	}
}
