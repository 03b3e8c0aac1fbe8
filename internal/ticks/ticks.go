// Package ticks has helpers of the adapters for schedules that robfig/cron parses.
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

// Newest returns the newest instant of a schedule that is not after now and at most
// within old, or the zero time. A schedule can only be asked for the next instant,
// so Newest begins further and further back, doubling each time. That takes few
// calls for any interval.
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

// Parse calls parse, a robfig/cron parser. It returns an error where such a parser panics: on a time zone without fields.
func Parse(parse func(spec string) (cron.Schedule, error), spec string) (s cron.Schedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			s, err = nil, fmt.Errorf("the parser panics (%v); write fields after a time zone, as in \"CRON_TZ=Europe/Berlin 30 9 * * *\"", r)
		}
	}()
	return parse(spec)
}
