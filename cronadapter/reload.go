package cronadapter

import (
	"context"
	"time"
)

// reloadLimit is how soon a removed job must come back to go on where it was. For
// so long it asks for the ticks that were fired: if all replicas gave them up at
// once and then came back, nobody would run them.
const reloadLimit = 10 * time.Second

// asking is what the claims of a job share. One that comes back in time goes on
// with it: else a reload on all replicas would lose what waits for a quorum or a
// take-over, and under take-over the new ticks would pass those that wait.
type asking struct {
	ctx     context.Context
	giveUp  func()
	end     *time.Timer // runs giveUp; set by a removal
	backlog backlog
}

func (a *Adapter) askingOf(name string) *asking {
	if old, ok := a.removals.Load(name); ok && old.(*runner).asking.end.Stop() {
		return old.(*runner).asking
	}
	ctx, giveUp := context.WithCancel(a.ctx)
	return &asking{ctx: ctx, giveUp: giveUp}
}

func (a *asking) endSoon() { a.end = time.AfterFunc(reloadLimit, a.giveUp) }

// noteRemoval keeps a removed job that its cron has asked for ticks.
func (a *Adapter) noteRemoval(r *runner) {
	if r.zone.Load() == nil {
		return
	}
	r.removed = a.cfg.now().Round(0)
	a.removals.Store(r.name, r)
	time.AfterFunc(reloadLimit, func() { a.removals.CompareAndDelete(r.name, r) })
}

// resume runs the ticks that came while a job was reloaded: cron has fired them
// neither for the old one nor for the new one, and if all replicas reload then,
// nobody runs them. Those that cron did fire are claimed already. The newest is
// asked for, and so before it those that are owed.
func (j *Job) resume() {
	var ticks []time.Time
	now := j.runner.a.cfg.now().Round(0)
	if old, ok := j.runner.a.removals.LoadAndDelete(j.runner.name); ok {
		ticks = j.missedBy(old.(*runner), now)
	}
	j.runner.asking.backlog.owe(ticks, now)
	if n := len(ticks); n > 0 {
		j.runner.spawn(func() { j.runFor(&turn{tick: ticks[n-1], reloaded: true}) })
	}
}

// missedBy are the ticks that a removed job and this one have in common.
func (j *Job) missedBy(old *runner, now time.Time) (ticks []time.Time) {
	if now.Sub(old.removed) > reloadLimit { // it came back late, or the clock was set
		return nil
	}
	for tick := old.next(old.asking.backlog.after(old.removed)); !tick.IsZero() && !tick.After(now); tick = old.next(tick) {
		if j.runner.next(tick.Add(-time.Nanosecond)).Equal(tick) {
			ticks = append(ticks, tick)
		}
	}
	return ticks
}
