package cronadapter

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"
)

// turn is one run and its tick. Those that a missed tick or a trigger asks for are
// not what cron fires.
type turn struct {
	tick      time.Time
	triggered bool
	reloaded  bool        // it is the newest tick that came during a reload
	began     atomic.Bool // the function was called
}

// handOver passes turns to runs that go through a chain, which knows nothing of
// ticks.
type handOver struct {
	mu      sync.Mutex
	waiting []*turn
}

// take returns what a run is for, or nil if cron has fired it. Runs that begin at a
// time may take each other's.
func (o *handOver) take() *turn {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return nil
	}
	t := o.waiting[0]
	o.waiting = o.waiting[1:]
	return t
}

func (o *handOver) put(t *turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, t)
}

func (o *handOver) withdraw(t *turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = slices.DeleteFunc(o.waiting, func(other *turn) bool { return other == t })
}

// pass runs a job, with its chain.
func (o *handOver) pass(t *turn, job cron.Job) {
	o.put(t)
	defer o.withdraw(t) // the chain may have skipped it, and the next run is for another tick
	job.Run()
}

// passAll is pass, and once more for the tick that cron fired meanwhile, if it was not
// this replica's turn: a chain such as cron.SkipIfStillRunning has skipped that one,
// and perhaps on all replicas. newest returns the newest tick that cron has fired.
func (o *handOver) passAll(t *turn, job cron.Job, newest func() time.Time) {
	before := newest()
	o.pass(t, job)
	if tick := newest(); tick.After(before) && !t.began.Load() {
		o.pass(&turn{tick: tick}, job)
	}
}

// runFor runs the job for a tick, through the cron's chain where that is known,
// unless the cron has it no more.
func (j *Job) runFor(t *turn) {
	r := j.runner
	switch entry, ok := r.a.listing.find(r); {
	case ok:
		r.passAll(t, entry.WrappedJob, j.ticks.newest)
	case r.kept.Err() != nil: // removed meanwhile
	case j.added:
		r.refuse(t.tick, errRemoved)
	default: // its chain may have a cron.Recover, so a panic must not end the process: redlock.Ended tells of it
		r.pass(t, cron.Recover(cron.DiscardLogger)(j))
	}
}
