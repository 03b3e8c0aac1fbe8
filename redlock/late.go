package redlock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redtick/redtick/redlock/internal/quorum"
)

// deriveLateness fills in the lateness and the retention, each from the other.
func (c *config) deriveLateness() {
	if c.retention == 0 {
		c.retention = DefaultRetention
		if c.anyOrder {
			c.retention = DefaultAnyOrderRetention
		}
		c.retention = max(c.retention, c.ttl, c.lateness+c.maxSkew, c.catchUp+c.maxSkew)
	}
	if !c.latenessSet && c.next != nil {
		c.lateness = min(DefaultLateness, c.retention*2/3)
	}
}

// lateness is what a claim that found no quorum knows of its earlier rounds.
type lateness struct {
	begin   time.Time // of the whole claim; zero where it does not ask again
	until   time.Time // when it asks last
	refusal error     // the first
}

// insist asks again for a tick that was refused only for want of a quorum, as one more round of the same question, until its
// lateness ends. It holds no slot while it pauses.
func (t *target) insist(ctx context.Context, a *acquisition, err error) (lease *Lease, _ error) {
	t.locker.begin()
	defer t.locker.end()
	for try := 0; lacksQuorum(err) && t.asksLater(a); try++ {
		if a.late.refusal == nil {
			a.late.refusal = err
		}
		if ended := t.rest(ctx, try, min(latePause, time.Until(t.lateUntil(a)))); ended != nil {
			return nil, errors.Join(t.refuse(a, a.late.begin, quorum.Tally{}, ended), err)
		}
		lease, err = t.acquire(ctx, a)
	}
	if a.late.refusal != nil && lacksQuorum(err) {
		return nil, t.tooLate(a, err)
	}
	return lease, err
}

// latePause is about how long a claim pauses before it asks again, once it has asked for a while.
const latePause = 5 * time.Second

// rest pauses for longer with each try, up to the longest, and returns why the caller may not go on, or nil.
func (t *target) rest(ctx context.Context, try int, longest time.Duration) error {
	t.locker.pause(ctx, min(t.jitter(min(t.cfg.nodeTimeout<<min(try, 16), longest), 0), longest))
	return t.locker.usable(ctx)
}

func lacksQuorum(err error) bool {
	refusal, ok := errors.AsType[*Error](err)
	return ok && refusal.Reason == ErrNoQuorum && !refusal.permanent
}

// tooLate is the end of a claim that was told to be asked again.
func (t *target) tooLate(a *acquisition, err error) error {
	last, _ := errors.AsType[*Error](err)
	refusal := new(Error)
	*refusal = *last // which the observer may be looking at
	refusal.later = false
	refusal.Detail += fmt.Sprintf("; asked again for %v", time.Since(a.late.begin).Round(time.Millisecond))
	t.report(a, a.late.begin, refusal)
	return refusal
}

// asksLater reports whether a claim that found no quorum will ask again.
func (t *target) asksLater(a *acquisition) bool {
	return !a.late.begin.IsZero() && !over(time.Now(), t.lateUntil(a))
}

// lateUntil is when a claim may ask again last. It takes up to four node timeouts to say that it found nobody, and the next
// tick is to find it gone.
func (t *target) lateUntil(a *acquisition) time.Time {
	if a.late.until.IsZero() {
		d := t.cfg.lateness
		if t.cfg.next != nil {
			if next := t.cfg.next(a.at); !next.IsZero() {
				d = min(d, next.Sub(a.at), time.Since(a.late.begin)+time.Until(next))
			}
		}
		a.late.until = a.late.begin.Add(d - 4*t.cfg.nodeTimeout)
	}
	return a.late.until
}

// patience is for how long a claim asks at first while no majority answers: not beyond its job's next tick, where that is
// known, since the caller then may miss that one.
func (t *target) patience(a *acquisition) time.Duration {
	patience := 6 * t.cfg.nodeTimeout
	if a.late.begin.IsZero() {
		return patience
	}
	return min(patience, max(t.lateUntil(a).Sub(a.late.begin), t.cfg.nodeTimeout))
}
