package redlock

import (
	"context"
	"errors"
	"time"
)

// waitFor decides, and while the outcome is one that waiting may change, waits
// for whichever comes first: a release notice, the holder's expiry, or a
// back-off.
func (m *Mutex) waitFor(ctx context.Context, b bid, mayChange func(error) bool) (*Lease, error) {
	lines := m.locker.lines
	spot, err := lines.enter(m.keys.lock)
	if err != nil {
		return nil, m.fail(b.op, b.tick, tally{}, err)
	}
	defer lines.leave(m, spot)
	if err := spot.turn(ctx); err != nil {
		return nil, m.fail(b.op, b.tick, tally{}, err)
	}
	for try := 0; ; try++ {
		lease, err := m.decide(ctx, b)
		if err == nil || ctx.Err() != nil || !mayChange(err) {
			return lease, err
		}
		if gone := spot.rest(ctx, m.patience(ctx, spot, err, try)); gone != nil {
			return nil, errors.Join(m.fail(b.op, b.tick, tally{}, gone), err)
		}
	}
}

// eagerness is how often a waiter that got a notice asks again in short
// succession: the release may have reached the notifying node before the others.
const eagerness = 4

// patience is how long to wait for a notice before asking again.
func (m *Mutex) patience(ctx context.Context, s *spot, refusal error, try int) time.Duration {
	back := max(m.cfg.backoff(try), time.Millisecond)
	switch {
	case !errors.Is(refusal, ErrTaken):
		return back
	case s.eager > 0:
		s.eager--
		return spread(0, eagerness-s.eager)
	}
	remaining, listening := m.enlist(ctx)
	switch {
	case listening && remaining == 0 && !s.hurried:
		s.hurried = true // it was released while we were getting in line: ask at once, but only once
		return 0
	case listening:
		back *= 4 // a notice will come; this is for the one that gets lost
	}
	s.hurried = false
	if remaining > 0 {
		back = min(back, remaining+time.Millisecond)
	}
	return back
}

// enlist gets in line on the first node that is there and can notify, the same
// for everybody. It answers what remains of the holder's lock there.
func (m *Mutex) enlist(ctx context.Context) (remaining time.Duration, listening bool) {
	for i, box := range m.locker.boxes {
		if !m.locker.lines.listen(ctx, i, m.cfg.nodeTimeout) {
			continue
		}
		v := newBallot(1, 1)
		box.post(v.put(0, ask{script: enlistScript, read: readRemaining, cmd: enlistScript.command(
			[]string{m.keys.lock, m.keys.waiters}, m.locker.lines.id, milliseconds(2*m.cfg.ttl))}, v.start.Add(m.cfg.nodeTimeout), false))
		if t, err := v.wait(ctx, m.cfg.nodeTimeout); err == nil && t.won() {
			m.locker.lines.enlisted(m.keys.lock, i)
			return t.answers[0].remaining, true
		}
	}
	return 0, false
}

func readRemaining(r Reply) answer {
	if a, ok := readFailure(r); ok {
		return a
	}
	ms, ok := r.Value.(int64)
	if !ok {
		return unexpected(r)
	}
	return answer{verdict: granted, remaining: time.Duration(ms) * time.Millisecond}
}
