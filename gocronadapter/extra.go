package gocronadapter

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// extraRuns counts the runs of one job beside those for its due ticks. gocron
// starts all runs alike and passes them nothing, so they are counted when they are
// asked for, and identified when they come. The counts outlive a stop and an
// Update, as gocron's queues do. It is safe for concurrent use.
type extraRuns struct {
	mu         sync.Mutex
	hadState   bool       // the job has had a jobState
	runNows    int        // asked for by RunNow, and not come yet
	lastRunNow time.Time  // when RunNow was last called
	started    int        // started by this package, and not come yet
	requests   []*request // what they were started for, except those for a lease of the stand-by
	queued     int        // for ticks that gocron has dropped or queued
	reported   int        // how many of these had their tick reported as lost
}

// request is what a run is started for: missed ticks, or the tick of a trigger.
type request struct {
	ticks     []time.Time // in order; without take-over only the last one runs
	triggered bool
	taken     chan struct{} // closed when a run has taken the request, or none is needed any more
}

// runNow counts a run and calls RunNow of the job.
func (x *extraRuns) runNow(j gocron.Job) error {
	x.noteRunNow()
	err := j.RunNow()
	if err != nil {
		x.takeRunNow()
	}
	return err
}

// firstPause and lastPause are the shortest and the longest pause before gocron is asked for a run again.
const firstPause, lastPause = 50 * time.Millisecond, 5 * time.Second

// startUntil starts runs, with growing pauses, until taken is closed or ctx ends: in some modes gocron drops runs silently.
func (x *extraRuns) startUntil(ctx context.Context, start starter, taken <-chan struct{}) {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		start(ctx, x.noteStarted)
		timer := time.NewTimer(pause)
		select {
		case <-taken:
			timer.Stop()
			return
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// starter asks gocron for a run of a job, unless it is known that the scheduler is stopped. Before it asks, it calls announce.
type starter func(ctx context.Context, announce func())

// runTicks starts runs until one has taken the ticks, or ctx ends.
func (x *extraRuns) runTicks(ctx context.Context, start starter, triggered bool, ticks ...time.Time) {
	e := &request{ticks: ticks, triggered: triggered, taken: make(chan struct{})}
	x.mu.Lock()
	x.requests = append(x.requests, e)
	x.mu.Unlock()
	x.startUntil(ctx, start, e.taken)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.requests = slices.DeleteFunc(x.requests, func(other *request) bool { return other == e })
}

func (x *extraRuns) noteStarted() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.started++
}

func (x *extraRuns) noteRunNow() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.runNows++
	x.lastRunNow = time.Now()
}

func (x *extraRuns) takeRunNow() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.takeRunNowLocked()
}

func (x *extraRuns) takeRunNowLocked() bool {
	if x.runNows == 0 {
		return false
	}
	x.runNows--
	return true
}

// forgetRunNows forgets the calls of RunNow, unless the last one was within this time: in some modes gocron drops them silently.
func (x *extraRuns) forgetRunNows(within time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if time.Since(x.lastRunNow) > within {
		x.runNows = 0
	}
}

// noteState notes that the job has a jobState, and reports whether it had one before.
func (x *extraRuns) noteState() (had bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	had = x.hadState
	x.hadState = true
	return had
}

// announced reports whether a run by RunNow has still to come.
func (x *extraRuns) announced() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.runNows > 0
}

// expected reports whether a run beside the schedule's has still to come.
func (x *extraRuns) expected() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.runNows > 0 || x.started > 0
}

// triggerIndex returns the index of the first request by a trigger, or -1. The caller holds mu.
func (x *extraRuns) triggerIndex() int {
	return slices.IndexFunc(x.requests, func(e *request) bool { return e.triggered })
}

// noteQueued counts ticks that gocron did not run, and how many of them were reported as lost. If gocron is idle, its queues are empty,
// and the count begins anew.
func (x *extraRuns) noteQueued(ticks, reported int, idle bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if idle {
		x.queued, x.reported = 0, 0
	}
	x.queued, x.reported = x.queued+ticks, x.reported+reported
}

// takeQueued reports whether a run without a due tick has waited in a queue of gocron until its tick was over, and whether that was
// reported.
func (x *extraRuns) takeQueued() (queued, reported bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.queued == 0 {
		return false, false
	}
	x.queued--
	if x.reported == 0 {
		return true, false
	}
	x.reported--
	return true, true
}

// takeOffered counts a run that has accepted a lease of the stand-by.
func (x *extraRuns) takeOffered() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.started > 0 {
		x.started--
	}
}

// purpose is what a run without a due tick of its own was started for.
type purpose int

const (
	unannounced purpose = iota
	forRunNow
	forRequest
	surplus // another run has taken its request
)

// take returns what a run was started for. If both RunNow and this package have started runs, a waiting trigger comes first, because
// gocron may have dropped the RunNow, and then RunNow.
func (x *extraRuns) take() (purpose, *request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	trigger := x.triggerIndex()
	switch {
	case x.started == 0 || trigger < 0 && x.runNows > 0:
		if x.takeRunNowLocked() {
			return forRunNow, nil
		}
		return unannounced, nil
	case len(x.requests) == 0:
		x.started--
		return surplus, nil
	}
	x.started--
	i := max(trigger, 0)
	e := x.requests[i]
	x.requests = slices.Delete(x.requests, i, i+1)
	close(e.taken)
	return forRequest, e
}

// overtaken drops the requests for missed ticks, because a newer tick is due, and returns those ticks.
func (x *extraRuns) overtaken() (missed []time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.requests = slices.DeleteFunc(x.requests, func(e *request) bool {
		if !e.triggered {
			missed = append(missed, e.ticks...)
			close(e.taken)
		}
		return !e.triggered
	})
	return missed
}
