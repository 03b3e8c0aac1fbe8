package gocronadapter

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// extras are the runs of one job beside those for its due ticks. gocron starts
// all runs alike and passes them nothing, so these are counted when they are
// asked for, and told apart when they come. They outlive a stop and an Update,
// as gocron's queues do.
type extras struct {
	mu      sync.Mutex
	lived   bool      // the job has had a state
	byHand  int       // those that RunNow has asked for and that have not come
	asked   time.Time // when it last did
	started int       // those that this package has asked for and that have not come
	errands []*errand // what they are for, but for a lease of the stand-by
	queued  int       // those for ticks that gocron has dropped, or has in a queue
	told    int       // of these, those whose tick was reported to be lost
}

// errand are the ticks that a run is started for: those that were missed, or that of a trigger.
type errand struct {
	ticks     []time.Time // in order; only the last one is run unless ticks are taken over
	triggered bool
	taken     chan struct{} // closed when a run has taken it, or none is needed any more
}

// runNow is job.RunNow, announced.
func (x *extras) runNow(j gocron.Job) error {
	x.noteByHand()
	err := j.RunNow()
	if err != nil {
		x.takeByHand()
	}
	return err
}

// firstPause and lastPause are how soon gocron is asked for a run once more.
const firstPause, lastPause = 50 * time.Millisecond, 5 * time.Second

// startUntil starts runs, with a growing pause, until one has taken what they are for or ctx ends: in some modes gocron drops
// runs without a word.
func (x *extras) startUntil(ctx context.Context, start starter, taken <-chan struct{}) {
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

// starter asks gocron for a run of a job, unless it must not. It calls begins before.
type starter func(ctx context.Context, begins func())

// bring has a run take the ticks, until ctx ends.
func (x *extras) bring(ctx context.Context, start starter, triggered bool, ticks ...time.Time) {
	e := &errand{ticks: ticks, triggered: triggered, taken: make(chan struct{})}
	x.mu.Lock()
	x.errands = append(x.errands, e)
	x.mu.Unlock()
	x.startUntil(ctx, start, e.taken)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.errands = slices.DeleteFunc(x.errands, func(other *errand) bool { return other == e })
}

func (x *extras) noteStarted() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.started++
}

func (x *extras) noteByHand() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.byHand++
	x.asked = time.Now()
}

func (x *extras) takeByHand() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.takeByHandLocked()
}

func (x *extras) takeByHandLocked() bool {
	if x.byHand == 0 {
		return false
	}
	x.byHand--
	return true
}

// forgetByHand forgets the RunNows, unless one was asked for in this time: in some modes gocron drops them without a word.
func (x *extras) forgetByHand(within time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if time.Since(x.asked) > within {
		x.byHand = 0
	}
}

// live reports whether the job has had a state before.
func (x *extras) live() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	lived := x.lived
	x.lived = true
	return lived
}

// announced reports whether a run by RunNow is to come.
func (x *extras) announced() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.byHand > 0
}

// expected reports whether a run is to come that is not the schedule's.
func (x *extras) expected() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.byHand > 0 || x.started > 0
}

func (x *extras) trigger() int {
	return slices.IndexFunc(x.errands, func(e *errand) bool { return e.triggered })
}

// noteQueued counts ticks that gocron did not run. What waited in a queue of gocron before it was idle is gone.
func (x *extras) noteQueued(ticks, told int, idle bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if idle {
		x.queued, x.told = 0, 0
	}
	x.queued, x.told = x.queued+ticks, x.told+told
}

// takeQueued reports whether a run that no tick is due for has waited in a queue of gocron until its tick was over, and whether that
// was reported.
func (x *extras) takeQueued() (queued, told bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.queued == 0 {
		return false, false
	}
	x.queued--
	if x.told == 0 {
		return true, false
	}
	x.told--
	return true, true
}

// takeOffered is for a run that was given a lease of the stand-by.
func (x *extras) takeOffered() {
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
	byHand
	forErrand
	surplus // another run has taken what it was started for
)

// take tells what a run was started for. It may be one by RunNow as well as one of this package's: then a trigger that waits comes
// first, since gocron may have dropped the RunNow, and then RunNow.
func (x *extras) take() (purpose, *errand) {
	x.mu.Lock()
	defer x.mu.Unlock()
	trigger := x.trigger()
	switch {
	case x.started == 0 || trigger < 0 && x.byHand > 0:
		if x.takeByHandLocked() {
			return byHand, nil
		}
		return unannounced, nil
	case len(x.errands) == 0:
		x.started--
		return surplus, nil
	}
	x.started--
	i := max(trigger, 0)
	e := x.errands[i]
	x.errands = slices.Delete(x.errands, i, i+1)
	close(e.taken)
	return forErrand, e
}

// overtaken is for a run with a tick of its own: what was missed before is not the newest tick any more. It returns those ticks.
func (x *extras) overtaken() (missed []time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.errands = slices.DeleteFunc(x.errands, func(e *errand) bool {
		if !e.triggered {
			missed = append(missed, e.ticks...)
			close(e.taken)
		}
		return !e.triggered
	})
	return missed
}
