package redlock

import (
	"context"
	"time"
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

// latePause is the longest pause before a claim asks again.
const latePause = 5 * time.Second

// delay waits before the nodes are asked again: for about a quarter of the time since begin, but no longer than longest. It
// returns an error if ctx has ended by then or the Locker is closed.
func (t *target) delay(ctx context.Context, begin time.Time, longest time.Duration) error {
	d := min(max(time.Since(begin), t.cfg.nodeTimeout)/4, longest)
	t.locker.sleep(ctx, min(t.jitter(d, 0), longest))
	return t.locker.usable(ctx)
}

// minLateness is how long a claim asks again for want of a quorum, whatever its lateness, and before the observer hears of it.
func (t *target) minLateness() time.Duration { return 6 * t.cfg.nodeTimeout }

// askUntil returns the latest time at which a claim may ask again for want of a quorum. With a lateness, it leaves four node
// timeouts for the last question, so that the claim has ended when the job's next tick comes.
func (t *target) askUntil(a *acquisition) time.Time {
	d := t.minLateness()
	if t.cfg.lateness > 0 {
		d = t.cfg.lateness
		if t.cfg.next != nil {
			if next := t.cfg.next(a.at); next.After(a.at) { // a schedule that ended has none, and a wrong one may go back
				d = min(d, next.Sub(a.at), time.Since(a.asked)+time.Until(next))
			}
		}
		d = max(d-4*t.cfg.nodeTimeout, t.cfg.nodeTimeout)
	}
	return a.asked.Add(d)
}
