package cronadapter

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// reloadLimit is how soon a removed job must be added again to go on where it was.
// Until then it keeps asking for the fired ticks: if all replicas gave them up at
// once on a reload, nobody would run them.
const reloadLimit = 10 * time.Second

// maxBacklog bounds how many ticks of a job wait. It is more than one a second for
// redlock.DefaultRetention; an older tick is refused in any case.
const maxBacklog = 1000

// claims is what the claims of a job share. A job that is added again in time takes
// it over: otherwise a reload on all replicas would lose the ticks that wait for a
// quorum or a take-over, and under take-over new ticks would overtake waiting ones.
type claims struct {
	ctx    context.Context
	cancel func()
	expiry *time.Timer // calls cancel; set by a removal

	queued atomic.Int64
	last   atomic.Pointer[chan struct{}] // closed when the last tick in the queue leaves it

	mu      sync.Mutex
	pending []time.Time // ticks that came during a reload, to be claimed before later ones
	since   time.Time   // when cron first asked for ticks
	old     *runner     // a removed one that is to be continued; nil if its cron had not asked for ticks
	removed time.Time   // when it was; without a monotonic reading, because ticks are instants of the wall clock
}

func (a *Adapter) claimsOf(name string) *claims {
	if c, ok := a.removals.LoadAndDelete(name); ok && c.(*claims).expiry.Stop() {
		return c.(*claims)
	}
	c, none := &claims{}, make(chan struct{})
	close(none)
	c.last.Store(&none)
	c.ctx, c.cancel = context.WithCancel(a.ctx)
	return c
}

// remove ends the runner and frees its name. Its claims go on until reloadLimit.
func (r *runner) remove() {
	r.cancel()
	c := r.claims
	c.mu.Lock()
	if r.zone.Load() != nil {
		c.old, c.removed = r, r.a.cfg.now().Round(0)
	}
	c.mu.Unlock()
	c.expiry = time.AfterFunc(reloadLimit, func() {
		c.cancel()
		r.a.removals.CompareAndDelete(r.name, c)
	})
	r.a.removals.Store(r.name, c)
	r.free()
}

// enter queues a tick and waits until it is the first one, as only that asks the nodes:
// if a later tick were granted before it, redlock would regard it as done. Unless enter
// fails, leave must be called at least once.
func (c *claims) enter() (leave func(), err error) {
	if c.queued.Add(1) > maxBacklog+1 { // the first does not wait
		c.queued.Add(-1)
		return nil, fmt.Errorf("%w: %d of this job, which is slower than its schedule; run it less often, or drop ticks with cron.SkipIfStillRunning", ErrBacklog, maxBacklog)
	}
	own := make(chan struct{})
	leave = sync.OnceFunc(func() {
		c.queued.Add(-1)
		close(own)
	})
	select {
	case <-*c.last.Swap(&own):
		return leave, nil
	case <-c.ctx.Done(): // the job was removed or the adapter stopped
		leave()
		return nil, context.Cause(c.ctx)
	}
}

// takePending removes the pending ticks that are not after tick, and returns those
// before it.
func (c *claims) takePending(tick time.Time) (older []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, found := slices.BinarySearchFunc(c.pending, tick, time.Time.Compare)
	older, c.pending = c.pending[:i], c.pending[i:]
	if found {
		c.pending = c.pending[1:]
	}
	return older
}

// resume runs the ticks that came during a reload: cron fired them neither for the
// old job nor for the new one, and if all replicas reload at once nobody else runs
// them. A tick that cron did fire is claimed already. The turn is for the newest
// tick; runInOrder claims the pending ones before it.
func (j *Job) resume() {
	r, c := j.runner, j.runner.claims
	now := r.a.cfg.now().Round(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	var missed []time.Time
	if old := c.old; old != nil && now.Sub(c.removed) <= reloadLimit { // else it was added again too late, or the clock was set
		after := c.removed.Add(-time.Second) // since cron may have been late
		switch {
		case len(c.pending) > 0: // still, from the reload before
			after = c.pending[0].Add(-time.Nanosecond)
		case after.Before(c.since):
			after = c.since
		}
		for tick := old.next(after); !tick.IsZero() && !tick.After(now); tick = old.next(tick) {
			if r.next(tick.Add(-time.Nanosecond)).Equal(tick) { // both jobs have it
				missed = append(missed, tick)
			}
		}
	}
	c.old, c.pending, c.since = nil, missed, now
	if n := len(missed); n > 0 {
		r.spawn(func() { j.runFor(&turn{tick: missed[n-1], reloaded: true}) })
	}
}
