package cronadapter

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/internal/ticks"
)

// turn is one run of a job and its tick. Besides cron, missed ticks, reloads and
// triggers make turns.
type turn struct {
	tick      time.Time
	triggered bool
	reloaded  bool        // tick is the newest that came during a reload
	began     atomic.Bool // the function was called
}

// handOver passes turns to runs that go through a cron chain, which has no
// argument for them.
type handOver struct {
	mu      sync.Mutex
	waiting []*turn
}

// take returns the turn of a run. If cron fired it, fired returns the tick. Runs that
// begin at the same time may take each other's turns.
func (o *handOver) take(fired func() time.Time) *turn {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return &turn{tick: fired()}
	}
	t := o.waiting[0]
	o.waiting = o.waiting[1:]
	return t
}

// pass runs a job through its chain.
func (o *handOver) pass(t *turn, job cron.Job) {
	o.mu.Lock()
	o.waiting = append(o.waiting, t)
	o.mu.Unlock()
	defer func() { // the chain may have skipped it, and the next run must not take it
		o.mu.Lock()
		defer o.mu.Unlock()
		o.waiting = slices.DeleteFunc(o.waiting, func(other *turn) bool { return other == t })
	}()
	job.Run()
}

// passAll calls pass, and if that did not run the job, calls it once more for a tick
// that cron fired meanwhile: a chain such as cron.SkipIfStillRunning has skipped
// that tick, perhaps on all replicas. newest returns the newest tick that cron fired.
func (o *handOver) passAll(t *turn, job cron.Job, newest func() time.Time) {
	before := newest()
	o.pass(t, job)
	if tick := newest(); tick.After(before) && !t.began.Load() {
		o.pass(&turn{tick: tick}, job)
	}
}

// runFor runs the job for a turn that cron did not fire: through the cron's chain if
// that is known, and not at all if the job was removed.
func (j *Job) runFor(t *turn) {
	r, added := j.runner, j.zone != nil
	switch entry, ok := r.a.listing.find(r); {
	case ok && added && entry.Next.IsZero(): // its cron was not started; somebody else has asked for a tick
		j.begun.Store(false)
	case ok:
		r.passAll(t, entry.WrappedJob, j.ticks.newest)
	case r.ctx.Err() != nil: // removed meanwhile
	case added:
		r.refuse(t.tick, invalid("its cron has no entry for the job, so it does not run; remove a job with Adapter.Remove, which also frees its name"))
	default: // its chain may have a cron.Recover, so a panic must not end the process; redlock.Ended reports it
		r.pass(t, cron.Recover(cron.DiscardLogger)(j))
	}
}

// lookBack runs the newest missed tick, if there is one, on a new goroutine. All
// replicas do so at the same time, and the claim decides which one runs it.
func (j *Job) lookBack() {
	r, job := j.runner, j.runner.pace.Load().job
	if job.CatchUp() == 0 || j.looking.Swap(true) {
		return
	}
	r.spawn(func() {
		tick, err := job.Missed(r.ctx, func() time.Time { return ticks.Newest(r.next, r.a.cfg.now(), job.CatchUp()) })
		j.looking.Store(false)
		switch {
		case err != nil && r.ctx.Err() == nil:
			r.refuse(tick, err)
		case err == nil && !tick.IsZero():
			j.runFor(&turn{tick: tick})
		}
	})
}
