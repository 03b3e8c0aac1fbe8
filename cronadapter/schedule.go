package cronadapter

import (
	"slices"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

// recorder passes a schedule's answers on to cron and keeps them: they are the
// ticks. cron tells a job nothing about the activation it is run for, but it
// has asked for each of them before.
type recorder struct {
	schedule cron.Schedule
	now      func() time.Time

	mu    sync.Mutex
	due   time.Time   // the newest answer that has come
	ahead []time.Time // the others, in order
}

// maxAhead bounds what callers other than cron, who list coming runs, can pile
// up. cron's own answer is the nearest and is never dropped.
const maxAhead = 64

func (r *recorder) next(after time.Time) time.Time {
	next := r.schedule.Next(after)
	if next.IsZero() {
		return next
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance()
	if i, known := slices.BinarySearchFunc(r.ahead, next, time.Time.Compare); !known && next.After(r.due) {
		r.ahead = slices.Insert(r.ahead, i, next)
		r.ahead = r.ahead[:min(len(r.ahead), maxAhead)]
	}
	return next
}

// tick is the newest activation that has come, or the zero time.
func (r *recorder) tick() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance()
	return r.due
}

// advance never goes back: a run that is delayed while the clock is set back
// still belongs to the tick that fired it.
func (r *recorder) advance() {
	now := r.now()
	for len(r.ahead) > 0 && !r.ahead[0].After(now) {
		r.due = r.ahead[0]
		r.ahead = r.ahead[1:]
	}
}

// grid activates at the multiples of every since 1970-01-01 UTC.
type grid struct {
	every time.Duration
}

var epoch = time.Unix(0, 0)

func (g grid) Next(t time.Time) time.Time {
	since := t.Sub(epoch)
	return epoch.Add(since - since%g.every + g.every).In(t.Location())
}
