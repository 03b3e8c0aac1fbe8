package cronadapter

import (
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
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

// pace is what a schedule's answers tell about its ticks. Its type tells little:
// each fork has another one for "@every", and a schedule that counts from its start
// may have any.
type pace struct {
	schedule Schedule      // nil under Wrap before the first run
	job      *redlock.Job  // claims the ticks
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
	return v.IsValid() && v.Type().Name() == "SpecSchedule"
}

// spacing returns how long before a tick that other replicas may not have no other may
// have been granted. It is at most the time since the schedule's previous tick, so it
// refuses nothing if all replicas have the same ticks after all. A tenth is left for
// clock differences.
func (p pace) spacing(tick time.Time) time.Duration {
	if p.relative {
		return spaced(p.gap)
	}
	for quiet := p.gap; quiet >= time.Millisecond; quiet /= 2 {
		if p.schedule.Next(tick.Add(-quiet)).Equal(tick) {
			return spaced(quiet)
		}
	}
	return 0
}

// spaced returns most of d, but no more than redlock.WithSpacing takes.
func spaced(d time.Duration) time.Duration { return min(d-d/10, 7*24*time.Hour) }
