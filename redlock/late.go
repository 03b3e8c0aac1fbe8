package redlock

import (
	"context"
	"time"
)

// deriveLateness derives the retention from a lateness that was set, and otherwise the lateness from the retention.
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

// maxLatePause is the longest pause before a claim asks again.
const maxLatePause = 5 * time.Second

// delay pauses before the nodes are asked again, for about a quarter of the time since begin but no longer than longest. It
// returns an error if ctx ends or the Locker is closed.
func (t *target) delay(ctx context.Context, begin time.Time, longest time.Duration) error {
	d := min(max(time.Since(begin), t.cfg.nodeTimeout)/4, longest)
	t.locker.sleep(ctx, min(t.jitter(d, 0), longest))
	return t.locker.usable(ctx)
}

// minLateness is how long a claim without a quorum asks again, whatever its lateness, before it is reported.
func (t *target) minLateness() time.Duration { return 6 * t.cfg.nodeTimeout }

// askUntil returns until when a claim without a quorum may ask again. With a lateness it leaves four node timeouts for the last
// vote, so that the claim has ended before the job's next tick comes.
func (t *target) askUntil(a *acquisition) time.Time {
	d := t.minLateness()
	if t.cfg.lateness > 0 {
		d = t.cfg.lateness
		if t.cfg.next != nil {
			if next := t.cfg.next(a.at); next.After(a.at) { // a schedule that ended returns zero, and a broken one may go back
				d = min(d, next.Sub(a.at), time.Since(a.asked)+time.Until(next))
			}
		}
		d = max(d-4*t.cfg.nodeTimeout, t.cfg.nodeTimeout)
	}
	return a.asked.Add(d)
}
