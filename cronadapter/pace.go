package cronadapter

import (
	"reflect"
	"time"
)

// maxSpacing is how long redlock remembers the last tick at least.
const maxSpacing = 7 * 24 * time.Hour

// pace is what a schedule's own answers say of its instants. Their type says
// little: "@every" has another one in each fork, and a schedule that counts
// from its start may have any.
type pace struct {
	schedule Schedule
	words    string        // what it is called; "" when that is not known
	gap      time.Duration // between two instants; 0 when there are no two
	every    time.Duration // of a schedule that counts from when it is asked, as "@every" does, else 0
	moves    bool          // its next instant depends on when it is asked
	own      bool          // another replica's instants may be others
}

// paceOf asks for some instants after now.
func paceOf(s Schedule, now time.Time) pace {
	p := pace{schedule: s, own: !isSpec(s)}
	now = now.Truncate(time.Second) // "@every" rounds to the second
	first := s.Next(now)
	if first.IsZero() {
		return p
	}
	second := s.Next(first)
	if second.IsZero() {
		return p
	}
	p.gap = second.Sub(first)
	if !p.own { // robfig/cron's answers may depend on when they are asked for where clocks change by half an hour
		return p
	}
	third := s.Next(first.Add(p.gap / 3))
	half := s.Next(first.Add(p.gap / 2))
	p.moves = !third.Equal(second) || !half.Equal(second)
	if p.moves && first.Sub(now) == p.gap && about(third.Sub(second), p.gap/3) && about(half.Sub(second), p.gap/2) {
		p.every = p.gap
	}
	return p
}

// about allows for a schedule that drops fractions of a second.
func about(d, want time.Duration) bool { return d <= want && d > want-time.Second }

// isSpec reports whether a schedule is made of the fields of a crontab, as
// robfig/cron and its forks export them. Its instants are the same everywhere,
// given the same time zone.
func isSpec(s Schedule) bool {
	v := reflect.Indirect(reflect.ValueOf(s))
	if v.Kind() != reflect.Struct {
		return false
	}
	for _, field := range []string{"Second", "Minute", "Hour", "Dom", "Month", "Dow"} {
		if f := v.FieldByName(field); !f.IsValid() || f.Kind() != reflect.Uint64 {
			return false
		}
	}
	return v.FieldByName("Location").IsValid()
}

// spacing is how long before this tick no other may have been granted. It never
// exceeds the time since the schedule's own instant before, so it refuses
// nothing if all replicas have the same instants after all. A tenth is left for
// clocks that differ.
func (p pace) spacing(tick time.Time) time.Duration {
	switch {
	case p.every > 0:
		return p.every
	case p.moves:
		return spaced(p.gap)
	case !p.own:
		return 0
	}
	for quiet := p.gap; quiet >= time.Millisecond; quiet /= 2 {
		if p.schedule.Next(tick.Add(-quiet)).Equal(tick) {
			return spaced(quiet)
		}
	}
	return 0
}

func spaced(d time.Duration) time.Duration { return min(d-d/10, maxSpacing) }
