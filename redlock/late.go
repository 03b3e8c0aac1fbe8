package redlock

import (
	"context"
	"errors"
	"time"

	"github.com/redtick/redtick/redlock/internal/quorum"
)

// deriveLateness fills in the retention from the lateness that was set, and then the lateness that was not from the retention.
func (c *config) deriveLateness() {
	if c.retention == 0 {
		c.retention = DefaultRetention
		if c.anyOrder {
			c.retention = DefaultAnyOrderRetention
		}
		c.retention = min(max(c.retention, c.ttl, c.lateness+c.maxSkew, c.catchUp+c.maxSkew), maxRetention)
	}
	if !c.latenessSet && c.next != nil {
		c.lateness = min(DefaultLateness, c.retention*2/3)
	}
}

// lateness is what a claim that asks again for want of a quorum remembers.
type lateness struct {
	begin   time.Time // of the whole claim; zero if it does not ask again
	until   time.Time // the latest time to ask
	refusal error     // the first one
}

// insist asks again for a tick that was refused only for want of a quorum, until its lateness ends. While it pauses it takes
// no slot for voting, since others need them.
func (t *target) insist(ctx context.Context, a *acquisition, err error) (lease *Lease, _ error) {
	for try := 0; refusalOf(err).next == asksOn; try++ {
		if a.late.refusal == nil {
			a.late.refusal = err
		}
		if ended := t.sleep(ctx, try, min(latePause, time.Until(t.lateUntil(a)))); ended != nil {
			return nil, errors.Join(t.refuse(a, a.late.begin, quorum.Tally{}, ended), err)
		}
		lease, err = t.acquire(ctx, a)
	}
	return lease, err
}

// latePause is the longest pause before a late claim asks again.
const latePause = 5 * time.Second

// sleep waits, for longer with each try up to longest. It returns an error if ctx has ended by then or the Locker is closed.
func (t *target) sleep(ctx context.Context, try int, longest time.Duration) error {
	t.locker.sleep(ctx, min(t.jitter(min(t.cfg.nodeTimeout<<min(try, 16), longest), 0), longest))
	return t.locker.usable(ctx)
}

// mayAskAgain reports whether there is time for a claim that found no quorum to ask again.
func (t *target) mayAskAgain(a *acquisition) bool {
	return !a.late.begin.IsZero() && !over(time.Now(), t.lateUntil(a))
}

// lateUntil returns the latest time at which a claim may ask again. It leaves four node timeouts for the last question, so
// that the claim has ended when the job's next tick comes.
func (t *target) lateUntil(a *acquisition) time.Time {
	if a.late.until.IsZero() {
		d := t.cfg.lateness
		if t.cfg.next != nil {
			if next := t.cfg.next(a.at); next.After(a.at) { // a schedule that ended has none, and a wrong one may go back
				d = min(d, next.Sub(a.at), time.Since(a.late.begin)+time.Until(next))
			}
		}
		a.late.until = a.late.begin.Add(d - 4*t.cfg.nodeTimeout)
	}
	return a.late.until
}

// patience returns how long a claim asks at first while no majority answers. It does not reach beyond the job's next tick, if
// that is known, since the caller might miss that one.
func (t *target) patience(a *acquisition) time.Duration {
	patience := 6 * t.cfg.nodeTimeout
	if a.late.begin.IsZero() {
		return patience
	}
	return min(patience, max(t.lateUntil(a).Sub(a.late.begin), t.cfg.nodeTimeout))
}
