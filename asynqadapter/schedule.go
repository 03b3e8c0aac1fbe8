package asynqadapter

import (
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// schedule is what a spec means: as asynq reads it, except that "@every d" is
// aligned to a grid that all replicas share.
type schedule struct {
	activations cron.Schedule
	location    *time.Location
}

func parseSpec(spec string, location *time.Location) (schedule, error) {
	zone, rest, zoned := strings.Cut(spec, " ")
	if !strings.HasPrefix(zone, "TZ=") && !strings.HasPrefix(zone, "CRON_TZ=") {
		rest, zoned = spec, true
	}
	if !zoned {
		return schedule{}, invalid("spec %q has a time zone and nothing else; write it as \"%s 30 9 * * *\"", spec, zone)
	}
	if every, ok := strings.CutPrefix(strings.TrimSpace(rest), "@every "); ok {
		return parseEvery(spec, every)
	}
	activations, err := cron.ParseStandard(spec)
	if err != nil {
		return schedule{}, invalid("spec %q: %v; it is five fields, \"@daily\" and the like, or \"@every 10s\"", spec, err)
	}
	return schedule{activations, location}, nil
}

func parseEvery(spec, every string) (schedule, error) {
	d, err := time.ParseDuration(every)
	if err != nil {
		return schedule{}, invalid("spec %q: %v", spec, err)
	}
	if d < time.Second || d%time.Second != 0 {
		return schedule{}, invalid("spec %q: the interval is %v, must be whole seconds and at least 1s", spec, d)
	}
	return schedule{grid(d / time.Second), time.UTC}, nil
}

// grid activates at the multiples of so many seconds since 1970.
type grid int64

func (g grid) Next(t time.Time) time.Time {
	return time.Unix((t.Unix()/int64(g)+1)*int64(g), 0)
}

// after returns the first tick after t, in UTC: 01:30 happens twice on an
// autumn night, and both are ticks. It is zero when there is none for five years.
func (s schedule) after(t time.Time) time.Time {
	next := s.activations.Next(t.Round(0).In(s.location))
	if next.IsZero() {
		return next
	}
	return next.UTC()
}

// upTo returns the newest tick that is not after t, or zero when there was none
// for years. A cron schedule only looks forward: first find some tick before t,
// looking back ever further, then halve the time in which a newer one may lie.
func (s schedule) upTo(t time.Time) time.Time {
	older := time.Time{}
	for back := time.Second; older.IsZero(); back *= 4 {
		if back > 10*366*24*time.Hour {
			return time.Time{}
		}
		if tick := s.after(t.Add(-back)); !tick.IsZero() && !tick.After(t) {
			older = tick
		}
	}
	// Ticks are whole seconds, and none lies after `end`.
	for end := t; end.Sub(older) >= time.Second; {
		middle := older.Add(end.Sub(older) / 2)
		if tick := s.after(middle); tick.IsZero() || tick.After(t) {
			end = middle
		} else {
			older = tick
		}
	}
	return older
}
