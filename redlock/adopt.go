package redlock

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// Adopt returns a lease on a lock that exists, given the lock's token from
// [Lease.Detach], [Mutex.Holder] or another library. It swaps the token for a fresh
// one, so of several who try one succeeds, and a handle that held the old token
// finds its lease lost at its next contact with the nodes.
//
// A detached token is adopted at once. On any other token a handle somewhere may
// still rely, so Adopt then waits until its remaining time has passed, which is a
// TTL at most.
//
// Give m the options of the mutex or job that the lock is from: the new lease has
// m's TTL, and its fence is larger than the former one only if both have
// [WithFencing].
//
// The error matches [ErrLost] when no majority holds the token any more. After
// other errors a detached lock is released, as no handle relies on it, and any
// other is left to expire.
func (m *Mutex) Adopt(ctx context.Context, token string) (*Lease, error) {
	if token == "" {
		return nil, invalid("token is empty; pass what Lease.Detach returned")
	}
	t, a := m.t, &acquisition{op: "adopt", begin: time.Now(), tick: protocol.TickOf(token)}
	t.locker.beginCall()
	defer t.locker.endCall()
	if !protocol.IsDetached(token) {
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
			lease.barElsewhere(token, &tally)
			lease.report(Acquired, time.Since(a.begin), nil)
			return lease, nil
		}
	}
	if s != nil {
		s.abort()
	}
	return nil, t.refuse(a, &tally, t.notAdopted(&tally, err))
}

// takeFrom swaps the token of a handle that may still rely on it, and waits until it cannot any more. It waits for the longest
// remaining time: the old token's majority and the swap's have a node in common. Meanwhile the key is not renewed. Nor is it
// deleted if the waiting is given up, as that would free the nodes while the old handle is valid.
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
	if err := t.locker.usable(ctx); err != nil {
		return "", t.refuse(a, nil, err)
	}
	return s.token, nil
}

// swap votes to hand the lock from a token to a fresh one. over says that no handle relies on the old one.
func (t *target) swap(ctx context.Context, a *acquisition, from string, over bool) (*round, quorum.Tally, error) {
	s, err := t.newRound(ctx, a)
	if err != nil {
		return nil, quorum.Tally{}, err
	}
	err = s.vote(ctx, t.name.Swap(from, s.token, over))
	return s, s.poll.Tally(), err
}

// notAdopted returns why an adoption failed.
func (t *target) notAdopted(tally *quorum.Tally, err error) error {
	switch {
	case err != nil:
		return err
	case t.locker.isClosed():
		return ErrClosed
	case tally.Blocks(tally.Refused):
		return ErrLost
	}
	return ErrNoQuorum
}

// barElsewhere takes the old token off the nodes that the swap did not reach, and keeps a late extension by its handle from
// putting it back.
func (l *Lease) barElsewhere(old string, tally *quorum.Tally) {
	bar := l.t.name.Bar(old)
	for i, p := range l.t.locker.group.Pipelines {
		if tally.Answers[i].Verdict != quorum.Granted {
			p.Send(bar.Request, l.t.releaseDeadline(), pipeline.Release)
		}
	}
}
