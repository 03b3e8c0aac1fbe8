package gocronadapter

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/redlock"
)

// extraRuns counts the runs of one job beside those for its due ticks. gocron
// starts all runs alike and passes them nothing, so they are counted when they are
// asked for, and identified when they come. The counts outlive a stop and an
// Update, as gocron's queues do. It is safe for concurrent use.
type extraRuns struct {
	runNows  counter     // asked for by RunNow, and not come yet
	started  counter     // started by this package, and not come yet
	queued   counter     // for ticks that gocron has dropped or queued
	reported counter     // how many of these had their tick reported as lost
	hadState atomic.Bool // the job has had a jobState

	lastRunNow atomic.Pointer[time.Time] // when RunNow was last called

	mu       sync.Mutex
	requests []*request // what runs were started for, except those for a lease of the stand-by; triggers come first
}

// counter counts runs that are still to come.
type counter struct{ atomic.Int64 }

// take counts one down, and reports whether there was one.
func (c *counter) take() bool {
	for n := c.Load(); n > 0; n = c.Load() {
		if c.CompareAndSwap(n, n-1) {
			return true
		}
	}
	return false
}

// request is what a run is started for: missed ticks, or the tick of a trigger.
type request struct {
	ticks     []time.Time // in order; without take-over only the last one runs
	triggered bool
	taken     chan struct{} // closed when a run has taken the request, or none is needed any more
}

// runNow counts a run and calls RunNow of the job.
func (x *extraRuns) runNow(j gocron.Job) error {
	x.lastRunNow.Store(new(time.Now()))
	x.runNows.Add(1)
	err := j.RunNow()
	if err != nil {
		x.runNows.take()
	}
	return err
}

// forgetRunNows forgets the calls of RunNow, unless the last one was within this time: in some modes gocron drops them silently.
func (x *extraRuns) forgetRunNows(within time.Duration) {
	if last := x.lastRunNow.Load(); last != nil && time.Since(*last) > within {
		x.runNows.Store(0)
	}
}

// noteQueued counts ticks that gocron did not run, and how many of them were reported as lost. If gocron is idle, its queues are empty,
// and the count begins anew.
func (x *extraRuns) noteQueued(ticks, reported int, idle bool) {
	if idle {
		x.queued.Store(0)
		x.reported.Store(0)
	}
	x.queued.Add(int64(ticks))
	x.reported.Add(int64(reported))
}

// triggerWaits reports whether a run was started for a trigger, and has not come.
func (x *extraRuns) triggerWaits() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.requests) > 0 && x.requests[0].triggered
}

// next returns the request of a run that was started, or nil if another run has taken it.
func (x *extraRuns) next() *request {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.requests) == 0 {
		return nil
	}
	r := x.requests[0]
	x.requests = slices.Delete(x.requests, 0, 1)
	close(r.taken)
	return r
}

// overtaken drops the requests for missed ticks, because a newer tick is due, and returns those ticks.
func (x *extraRuns) overtaken() (missed []time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.requests = slices.DeleteFunc(x.requests, func(r *request) bool {
		if !r.triggered {
			missed = append(missed, r.ticks...)
			close(r.taken)
		}
		return !r.triggered
	})
	return missed
}

// runTicks starts runs until one has taken the ticks, or ctx ends, or for as long as the limit.
func (l *jobLocker) runTicks(ctx context.Context, limit time.Duration, triggered bool, ticks ...time.Time) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	x, r := l.extraRuns, &request{ticks, triggered, make(chan struct{})}
	x.mu.Lock()
	at := len(x.requests)
	if i := slices.IndexFunc(x.requests, func(other *request) bool { return !other.triggered }); triggered && i >= 0 {
		at = i
	}
	x.requests = slices.Insert(x.requests, at, r)
	x.mu.Unlock()
	l.Start(ctx, r.taken)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.requests = slices.DeleteFunc(x.requests, func(other *request) bool { return other == r })
}

// firstPause and lastPause are the shortest and the longest pause before gocron is asked for a run again.
const firstPause, lastPause = 50 * time.Millisecond, 5 * time.Second

// Start starts runs, with growing pauses, until taken is closed or ctx ends: in some modes gocron drops runs silently.
func (l *jobLocker) Start(ctx context.Context, taken <-chan struct{}) {
	start := func() {
		l.extraRuns.started.Add(1)
		_ = l.job.RunNow() // the run may come even after an error
	}
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		if l.scheduler != nil {
			l.scheduler.ifRunning(ctx, start)
		} else {
			start()
		}
		select {
		case <-taken:
			return
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// listen listens for triggers until ctx ends.
func (l *jobLocker) listen(ctx context.Context, job *redlock.Job) {
	end, err := job.OnTrigger(func(tick time.Time) { go l.runTriggered(ctx, tick) })
	if err != nil {
		l.locker.warn(l.name, err)
		return
	}
	context.AfterFunc(ctx, end)
}

// triggerTimeout is how long the one who triggers waits for a run.
const triggerTimeout = 3 * time.Second

// runTriggered starts runs until one takes the tick.
func (l *jobLocker) runTriggered(ctx context.Context, tick time.Time) {
	if !l.locked() {
		l.locker.warn(l.name, fmt.Errorf("%w: job %q has gocron.WithDisabledDistributedJobLocker, so it cannot be triggered: every replica would run it; leave the option out, or use RunNow", ErrSchedule, l.name))
		return
	}
	l.runTicks(ctx, triggerTimeout, true, tick)
}
