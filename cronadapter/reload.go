package cronadapter

import (
	"context"
	"time"
)

// reloadLimit is how soon a removed job must be added again to go on where it was.
// Until then it keeps asking for the fired ticks: if all replicas gave them up at
// once on a reload, nobody would run them.
const reloadLimit = 10 * time.Second

// claims is what the claims of a job share. A job that is added again in time takes
// it over: otherwise a reload on all replicas would lose the ticks that wait for a
// quorum or a take-over, and under take-over new ticks would overtake waiting ones.
type claims struct {
	ctx     context.Context
	cancel  func()
	expiry  *time.Timer // calls cancel; set by a removal
	backlog backlog
}

func (a *Adapter) claimsOf(name string) *claims {
	if old, ok := a.removals.Load(name); ok && old.(*runner).claims.expiry.Stop() {
		return old.(*runner).claims
	}
	ctx, cancel := context.WithCancel(a.ctx)
	return &claims{ctx: ctx, cancel: cancel}
}

func (c *claims) expire() { c.expiry = time.AfterFunc(reloadLimit, c.cancel) }

// noteRemoval remembers a removed job, if its cron has asked it for ticks.
func (a *Adapter) noteRemoval(r *runner) {
	if r.zone.Load() == nil {
		return
	}
	r.removed = a.cfg.now().Round(0)
	a.removals.Store(r.name, r)
	time.AfterFunc(reloadLimit, func() { a.removals.CompareAndDelete(r.name, r) })
}

// resume runs the ticks that came during a reload: cron fired them neither for the
// old job nor for the new one, and if all replicas reload at once nobody else runs
// them. A tick that cron did fire is claimed already. The turn is for the newest
// tick; runInOrder claims the pending ones before it.
func (j *Job) resume() {
	var ticks []time.Time
	now := j.runner.a.cfg.now().Round(0)
	if old, ok := j.runner.a.removals.LoadAndDelete(j.runner.name); ok {
		ticks = j.missedBy(old.(*runner), now)
	}
	j.runner.claims.backlog.setPending(ticks, now)
	if n := len(ticks); n > 0 {
		j.runner.spawn(func() { j.runFor(&turn{tick: ticks[n-1], reloaded: true}) })
	}
}

// missedBy returns the ticks since the removal that both the removed job and this
// one have.
func (j *Job) missedBy(old *runner, now time.Time) (ticks []time.Time) {
	if now.Sub(old.removed) > reloadLimit { // added again too late, or the clock was set
		return nil
	}
	for tick := old.next(old.claims.backlog.after(old.removed)); !tick.IsZero() && !tick.After(now); tick = old.next(tick) {
		if j.runner.next(tick.Add(-time.Nanosecond)).Equal(tick) {
			ticks = append(ticks, tick)
		}
	}
	return ticks
}
