package cronadapter

import (
	"slices"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

// handed is a tick that a run is for. Those that a missed tick or a trigger
// asks for are not what cron fires.
type handed struct {
	tick      time.Time
	triggered bool
}

// handOver passes ticks to runs that go through a chain, which knows nothing of
// ticks.
type handOver struct {
	mu      sync.Mutex
	waiting []handed
}

// take returns what a run is for, if cron has not fired it. Runs that begin at a
// time may take each other's.
func (o *handOver) take() (h handed, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return h, false
	}
	h, o.waiting = o.waiting[0], o.waiting[1:]
	return h, true
}

func (o *handOver) put(h handed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, h)
}

func (o *handOver) withdraw(h handed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = slices.DeleteFunc(o.waiting, func(other handed) bool { return other == h })
}

// pass runs a job, with its chain, for a tick.
func (o *handOver) pass(h handed, job cron.Job) {
	o.put(h)
	defer o.withdraw(h) // the chain may have skipped it, and the next run is for another tick
	job.Run()
}

// runFor runs the job for a tick, through the cron's chain where that is known,
// unless the cron has it no more.
func (j *Job) runFor(h handed) {
	r := j.runner
	switch entry, ok := r.a.listing.find(r); {
	case ok:
		r.pass(h, entry.WrappedJob)
	case j.added:
		r.refuse(h.tick, errRemoved)
	default:
		r.pass(h, unchained{j})
	}
}

// unchained is a job whose chain is not known. That may have a cron.Recover, so a
// panic must not end the process: redlock.Ended tells of it.
type unchained struct{ cron.Job }

func (u unchained) Run() {
	defer func() { _ = recover() }()
	u.Job.Run()
}
