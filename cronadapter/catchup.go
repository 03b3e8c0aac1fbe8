package cronadapter

import (
	"time"

	"github.com/redtick/redtick/internal/ticks"
)

// lookBack runs the newest missed tick, if there is one, on a new goroutine. All
// replicas do so at the same time, and the claim decides which one runs it.
func (j *Job) lookBack() {
	r := j.runner
	_, job := r.current()
	if job.CatchUp() == 0 || j.looking.Swap(true) {
		return
	}
	r.spawn(func() {
		tick, err := job.Missed(r.ctx, func() time.Time { return ticks.Newest(r.next, r.a.cfg.now(), job.CatchUp()) })
		j.looking.Store(false)
		if err != nil && r.ctx.Err() == nil {
			r.refuse(tick, err)
		}
		if tick.IsZero() || err != nil {
			return
		}
		j.runFor(&turn{tick: tick})
	})
}
