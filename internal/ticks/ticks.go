// Package ticks has what the adapters need of schedules that robfig/cron reads.
package ticks

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// Grid activates at the multiples of a duration since 1970-01-01 UTC, which are
// the same on all replicas.
type Grid time.Duration

var epoch = time.Unix(0, 0)

// Next returns the first multiple after t.
func (g Grid) Next(t time.Time) time.Time {
	since, every := t.Sub(epoch), time.Duration(g)
	return epoch.Add(since - since%every + every).In(t.Location())
}

// Newest returns the newest instant that is not after now and no older than
// within, or the zero time. A schedule only looks forward: looking back twice as
// far each time asks one of any pace a few times only.
func Newest(next func(time.Time) time.Time, now time.Time, within time.Duration) (newest time.Time) {
	for back := time.Second; newest.IsZero(); back *= 2 {
		for tick := next(now.Add(-min(back, within))); !tick.IsZero() && !tick.After(now); tick = next(tick) {
			newest = tick
		}
		if back >= within {
			break
		}
	}
	return newest
}

// Parse reads a spec with a parser of robfig's, which panics on a time zone that no field follows.
func Parse(parse func(spec string) (cron.Schedule, error), spec string) (s cron.Schedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			s, err = nil, fmt.Errorf("the parser panics (%v); write fields after a time zone, as in \"CRON_TZ=Europe/Berlin 30 9 * * *\"", r)
		}
	}()
	return parse(spec)
}
