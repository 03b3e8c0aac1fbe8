package cronadapter

import (
	"slices"
	"sync"
	"time"
)

// Schedule is all that is needed of a schedule: what robfig/cron and its forks
// call by this name.
type Schedule interface {
	// Next returns the first instant of the schedule that is later than t, or the zero time.
	Next(t time.Time) time.Time
}

// recorder passes a schedule's answers on to cron and keeps them: they are the
// ticks. cron tells a job nothing about the activation it is run for, but it
// has asked for each of them before.
type recorder struct {
	schedule Schedule
	now      func() time.Time

	mu    sync.Mutex
	due   time.Time   // the answer that has come last
	run   time.Time   // the tick of the last run
	ahead []time.Time // the others, in order
}

// maxAhead bounds what callers other than cron, who list coming runs, can pile
// up. cron's own answer is the nearest and is never dropped.
const maxAhead = 64

// next keeps what lies ahead. After due is what cron asks for; one that is not
// after it lies ahead only when the clock was set back, and then cron, started
// anew, waits for it. next also reports whether cron stood still: it asks for the
// next answer long after the one before has come.
func (r *recorder) next(after time.Time) (next time.Time, stood bool) {
	next = r.schedule.Next(after)
	if next.IsZero() {
		return next, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.advance(now)
	if i, known := slices.BinarySearchFunc(r.ahead, next, time.Time.Compare); !known && (next.After(r.due) || next.After(now)) {
		r.ahead = slices.Insert(r.ahead, i, next)
		r.ahead = r.ahead[:min(len(r.ahead), maxAhead)]
		stood = !r.due.IsZero() && now.Sub(r.due) > time.Second
	}
	return next, stood
}

// early is how far a clock may be set back between the moment in which cron
// fires a job and that in which the job looks for its tick.
const early = 100 * time.Millisecond

// tick is the newest activation that has come, for a run of it, or the zero time.
func (r *recorder) tick() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.advance(now)
	if r.due.Equal(r.run) { // so this run is not for that one
		r.advance(now.Add(early))
	}
	r.run = r.due
	return r.due
}

// newest is the newest activation that has come, whether it was run or not.
func (r *recorder) newest() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(r.now())
	return r.due
}

// advance leaves due alone when the clock is set back: a run that is delayed
// meanwhile still belongs to the tick that fired it, until another one comes.
func (r *recorder) advance(now time.Time) {
	for len(r.ahead) > 0 && !r.ahead[0].After(now) {
		r.due = r.ahead[0]
		r.ahead = r.ahead[1:]
	}
}
