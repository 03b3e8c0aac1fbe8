package cronadapter

import (
	"time"

	"github.com/redtick/redtick/internal/ticks"
)

// lookBack runs the newest tick that was missed, if there is one, on a goroutine
// of its own. The replicas look at the same time, and the claim decides.
func (j *Job) lookBack() {
	r := j.runner
	_, job := r.current()
	if job.CatchUp() == 0 || j.looking.Swap(true) {
		return
	}
	r.spawn(func() {
		tick, err := job.Missed(r.kept, func() time.Time { return ticks.Newest(r.next, r.a.cfg.now(), job.CatchUp()) })
		j.looking.Store(false)
		if err != nil && r.kept.Err() == nil {
			r.refuse(tick, err)
		}
		if tick.IsZero() || err != nil {
			return
		}
		j.runFor(&turn{tick: tick})
	})
}
