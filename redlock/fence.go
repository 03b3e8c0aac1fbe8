package redlock

import (
	"context"
)

// fence picks the number of this round's lease: the largest among its own
// grants. It counts only once it stands on a majority, that is, once the
// counter there was seen or set to at least that while the lock there was
// ours. Usually the first answers already agree and nothing is sent. It is 0
// when it does not stand: the lock was lost meanwhile, or counters were.
func (r *round) fence(ctx context.Context, t tally) (int64, error) {
	highest := int64(0)
	for _, a := range t.answers {
		if a.verdict == granted {
			highest = max(highest, a.fence)
		}
	}
	standing := 0
	for _, a := range t.answers {
		if a.verdict == granted && a.fence == highest {
			standing++
		}
	}
	if standing >= t.quorum {
		return highest, nil
	}
	m := r.m
	raised, err := m.poll(ctx, ask{script: raiseScript, read: readCount, cmd: raiseScript.command(
		[]string{m.keys.lock, m.keys.fence}, r.token, decimal(highest))})
	if err != nil || !raised.won() {
		return 0, err
	}
	return highest, nil
}
