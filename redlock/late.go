package redlock

import (
	"context"
	"time"
)

// maxLatePause is the longest pause before a claim asks again.
const maxLatePause = 5 * time.Second

// delay pauses before the nodes are asked again, for about a quarter of the time since begin but no longer than longest. It
// returns an error if ctx ends or the Locker is closed.
func (t *target) delay(ctx context.Context, begin time.Time, longest time.Duration) error {
	d := min(max(time.Since(begin), t.cfg.nodeTimeout)/4, longest)
	t.locker.sleep(ctx, min(t.randomPause(d, 0), longest))
	return t.locker.stopped(ctx)
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
				// Until next by the wall clock, but no longer than an interval if that clock is set back.
				d = min(d, next.Sub(a.at), time.Since(a.asked)+time.Until(next))
			}
		}
		d = max(d-4*t.cfg.nodeTimeout, t.cfg.nodeTimeout)
	}
	return a.asked.Add(d)
}
