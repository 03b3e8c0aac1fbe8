package cronadapter

import (
	"slices"
	"sync"
	"time"
)

// Schedule is cron.Schedule, as robfig/cron and its forks define it.
type Schedule interface {
	// Next returns the first instant of the schedule that is later than t, or the zero time.
	Next(t time.Time) time.Time
}

// recorder passes a schedule's answers on to cron and records them as ticks. cron
// does not tell a job which activation it runs for, but it has asked the schedule
// for each one before.
type recorder struct {
	schedule Schedule
	now      func() time.Time

	mu    sync.Mutex
	due   time.Time   // the newest tick that has come
	run   time.Time   // the tick of the last run
	ahead []time.Time // the ticks that have not come, in order
}

// maxAhead bounds what callers other than cron, such as a list of coming runs, can
// add. cron's own answer is the nearest and is never dropped.
const maxAhead = 64

// next returns the schedule's answer and records it if it is a coming tick. cron's
// ticks come after due, except when the clock was set back and cron was restarted:
// then cron waits for one that is before due and after now. next also reports
// whether cron stood still, that is, asked more than a second after due.
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

// early is how far a clock may be set back between cron firing a job and the job
// looking for its tick.
const early = 100 * time.Millisecond

// tick returns the newest tick that has come, for a run, or the zero time.
func (r *recorder) tick() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.advance(now)
	if r.due.Equal(r.run) { // it has had its run, so this one is for the next
		r.advance(now.Add(early))
	}
	r.run = r.due
	return r.due
}

// newest returns the newest tick that has come, without marking it as run.
func (r *recorder) newest() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(r.now())
	return r.due
}

// advance moves due to the newest tick that is not after now. It never moves due
// back: when the clock is set back, a delayed run still belongs to its tick.
func (r *recorder) advance(now time.Time) {
	for len(r.ahead) > 0 && !r.ahead[0].After(now) {
		r.due = r.ahead[0]
		r.ahead = r.ahead[1:]
	}
}
