package cronadapter

import (
	"slices"
	"sync"
	"time"
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

// runFor runs the job for a tick, through the cron's chain where that is known,
// unless the cron has it no more.
func (j *Job) runFor(h handed) {
	run := j.Run
	if entry, ok := j.runner.a.listing.find(j.runner); ok {
		run = entry.WrappedJob.Run
	} else if j.added {
		j.runner.refuse(h.tick, errRemoved)
		return
	}
	j.put(h)
	defer j.withdraw(h) // the chain may have skipped it, and the next run is for another tick
	run()
}
