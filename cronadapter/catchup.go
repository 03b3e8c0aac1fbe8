package cronadapter

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"
)

// catchUp is what a job under redlock.WithCatchUp needs besides.
type catchUp struct {
	begin   sync.Once    // cron asks for the first tick
	inChain atomic.Value // func() cron.Job, the job as its cron runs it, where that is known

	mu      sync.Mutex
	looking bool
	missed  time.Time // what the next run is for, if it is not zero
}

// caught returns the missed tick that a run is for, once.
func (c *catchUp) caught() (tick time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tick, c.missed = c.missed, time.Time{}
	return tick
}

// lookBack runs the newest tick that was missed, if there is one, on a goroutine
// of its own. The replicas look at the same time, and the claim decides.
func (j *Job) lookBack() {
	r := j.runner
	r.mu.Lock()
	job := r.job
	r.mu.Unlock()
	if job.CatchUp() == 0 || !j.look(true) {
		return
	}
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	if r.asking.Err() != nil {
		return
	}
	r.a.catching.Go(func() {
		tick, err := job.Missed(r.asking, func() time.Time { return j.newest(job.CatchUp()) })
		j.look(false)
		if err != nil && r.asking.Err() == nil {
			r.refuse(tick, err)
		}
		if tick.IsZero() || err != nil {
			return
		}
		j.mu.Lock()
		j.missed = tick
		j.mu.Unlock()
		if chained, ok := j.inChain.Load().(func() cron.Job); ok {
			if inner := chained(); inner != nil {
				inner.Run()
				_ = j.caught() // the chain may have skipped it, and the next run is for another tick
				return
			}
		}
		j.Run()
	})
}

// look reports whether that changed whether the job is looked after.
func (c *catchUp) look(on bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := c.looking != on
	c.looking = on
	return changed
}

// newest is the newest instant of the schedule that has come, or the zero time
// when there is none within a time.
func (j *Job) newest(within time.Duration) (newest time.Time) {
	schedule := j.ticks.schedule
	now := j.runner.a.cfg.now()
	if zone := j.runner.zone.Load(); zone != nil {
		now = now.In(zone)
	}
	// Looking back twice as far each time asks a schedule of any pace a few times only.
	for back := time.Second; newest.IsZero(); back *= 2 {
		for next := schedule.Next(now.Add(-min(back, within))); !next.IsZero() && !next.After(now); next = schedule.Next(next) {
			newest = next
		}
		if back >= within {
			break
		}
	}
	return newest
}
