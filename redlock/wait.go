package redlock

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// waitFor decides, and while the outcome is one that waiting may change, waits
// for whichever comes first: a release notice, the holder's expiry, or a
// back-off.
func (m *Mutex) waitFor(ctx context.Context, b bid, mayChange func(error) bool) (*Lease, error) {
	m.locker.begin() // until it is out of line again
	defer m.locker.end()
	lines := m.locker.lines
	spot, err := lines.enter(m.keys.lock)
	if err != nil {
		return nil, m.fail(b.op, b.tick, tally{}, err)
	}
	defer lines.leave(m, spot)
	if err := spot.turn(ctx); err != nil {
		return nil, m.fail(b.op, b.tick, tally{}, err)
	}
	if lines.yields(m.keys.lock) {
		// Whoever was just woken by our own release would lose against us, who are already here.
		remaining, _ := m.enlist(ctx, spot)
		if err := spot.rest(ctx, min(max(remaining, 2*time.Millisecond), courtesy)); err != nil {
			return nil, m.fail(b.op, b.tick, tally{}, err)
		}
	}
	for try := 0; ; try++ {
		lease, err := m.decide(ctx, b)
		if err == nil {
			spot.served = true
			return lease, nil
		}
		spot.gaveBack(err)
		switch gone := ctx.Err(); {
		case gone != nil && !errors.Is(err, gone):
			return nil, errors.Join(m.fail(b.op, b.tick, tally{}, gone), err)
		case gone != nil || !mayChange(err):
			return nil, err
		}
		if gone := spot.rest(ctx, m.patience(ctx, spot, err, try)); gone != nil {
			return nil, errors.Join(m.fail(b.op, b.tick, tally{}, gone), err)
		}
	}
}

// patience is how long to wait for a notice before asking again.
func (m *Mutex) patience(ctx context.Context, s *spot, refusal error, try int) time.Duration {
	back := max(m.cfg.backoff(try), time.Millisecond)
	if !errors.Is(refusal, ErrTaken) {
		return back
	}
	if met := s.releasing(refusal); met > 0 {
		// The release reached the node that told us before it reached the others.
		return m.cfg.splitPause(250*time.Microsecond<<met, 0)
	}
	remaining, listening := m.enlist(ctx, s)
	switch {
	case listening && remaining == 0 && !s.hurried:
		s.hurried = true // it was released while we were getting in line: ask at once, but only once
		return 0
	case listening:
		// A notice will come; this is for the one that gets lost. After a TTL the place in line must be renewed.
		back = min(min(back, math.MaxInt64/4)*4, m.cfg.ttl)
	}
	s.hurried = false
	if remaining > 0 {
		back = min(back-time.Millisecond, remaining) + time.Millisecond
	}
	return back
}

// enlist gets in line on the first node that is there and can notify, the same
// for everybody. It answers what remains of the holder's lock there.
func (m *Mutex) enlist(ctx context.Context, s *spot) (remaining time.Duration, listening bool) {
	for i, box := range m.locker.boxes {
		if !m.locker.lines.listen(ctx, i, m.cfg.nodeTimeout) {
			continue
		}
		v := m.locker.newBallot(1, 1)
		box.post(v.put(0, ask{script: enlistScript, read: readRemaining, cmd: enlistScript.command(
			[]string{m.keys.lock, m.keys.waiters}, m.locker.lines.id, milliseconds(2*m.cfg.ttl), s.place)}, v.start.Add(m.cfg.nodeTimeout), false))
		if t, err := v.wait(ctx, m.cfg.nodeTimeout); err == nil && t.won() {
			m.locker.lines.enlisted(m.keys.lock, i)
			s.place = t.answers[0].token
			return t.answers[0].remaining, true
		}
	}
	return 0, false
}

func readRemaining(r driver.Reply) answer {
	if a, ok := readFailure(r); ok {
		return a
	}
	fields, _ := r.Value.([]any)
	if len(fields) != 2 {
		return unexpected(r)
	}
	return answer{verdict: granted, remaining: lifetime(number(fields, 0)), token: text(fields, 1)}
}
