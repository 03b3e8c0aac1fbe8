package cronadapter

import (
	"reflect"
	"time"
)

// maxSpacing is the longest redlock.WithSpacing.
const maxSpacing = 7 * 24 * time.Hour

// pace is what a schedule's answers tell about its ticks. Its type tells little:
// each fork has another one for "@every", and a schedule that counts from its start
// may have any.
type pace struct {
	schedule Schedule
	words    string        // for redlock.WithSchedule; "" if not known
	gap      time.Duration // between the next two ticks; 0 if there are no two
	every    time.Duration // if the schedule counts from when it is asked, as "@every" does, else 0
	relative bool          // the next tick depends on when it is asked for
	unshared bool          // the ticks may differ between replicas
}

// paceOf asks the schedule for a few ticks after now.
func paceOf(s Schedule, now time.Time) pace {
	p := pace{schedule: s, unshared: !isSpec(s)}
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
	if !p.unshared { // robfig/cron's answers may depend on when they are asked for where clocks change by half an hour
		return p
	}
	third := s.Next(first.Add(p.gap / 3))
	half := s.Next(first.Add(p.gap / 2))
	p.relative = !third.Equal(second) || !half.Equal(second)
	if p.relative && first.Sub(now) == p.gap && about(third.Sub(second), p.gap/3) && about(half.Sub(second), p.gap/2) {
		p.every = p.gap
	}
	return p
}

// about reports whether d is want, or less by a fraction of a second, which a
// schedule may drop.
func about(d, want time.Duration) bool { return d <= want && d > want-time.Second }

// isSpec reports whether a schedule is the spec type of robfig/cron or a fork, made
// of crontab fields. In one time zone its ticks are the same on every replica.
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

// spacing returns how long before tick no other may have been granted. It is at most
// the time since the schedule's previous tick, so it refuses nothing if all
// replicas have the same ticks after all. A tenth is left for clock differences.
func (p pace) spacing(tick time.Time) time.Duration {
	switch {
	case p.every > 0:
		return p.every
	case p.relative:
		return spaced(p.gap)
	case !p.unshared:
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
