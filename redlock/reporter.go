package redlock

import (
	"log/slog"
	"math"
	"time"

	"github.com/redtick/redtick/redlock/internal/feed"
)

// reporter hands events to the observer.
type reporter struct {
	least   slog.Level // the observer is not told events below this level
	outages outages
	feed    feed.Feed[Event]
}

func newReporter(cfg *config) *reporter {
	r := &reporter{least: cfg.least, outages: outages{jobs: make(map[string]*outage)}}
	observer := cfg.observer
	r.feed.Tell = func(e Event, missed int) {
		e.Missed = missed
		observer(e)
	}
	return r
}

func (r *reporter) observe(e Event) {
	if e.Kind == Refused || e.Kind == Acquired && r.outages.open.Load() > 0 {
		var before *Event
		if before, e = r.outages.note(e); before != nil {
			r.enqueue(*before)
		}
	}
	r.enqueue(e)
}

func (r *reporter) enqueue(e Event) {
	if r.least == math.MinInt || e.Level() >= r.least {
		e.At = time.Now()
		r.feed.Push(e)
	}
}

// end reports the counts of outages that have not ended.
func (r *reporter) end() {
	for _, e := range r.outages.endAll() {
		r.enqueue(e)
	}
}
