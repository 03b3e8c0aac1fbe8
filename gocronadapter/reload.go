package gocronadapter

import (
	"context"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"
)

// reloadLimit is how soon a job must be back under its name to go on where its predecessor was.
const reloadLimit = 10 * time.Second

// departure is what the successor of a job needs to know of it.
type departure struct {
	at    time.Time
	ticks []time.Time // that gocron had pending: the claim of the first may be under way, and ends with the job
}

// noteDeparture is called before gocron is told to remove the job, or to replace it: afterwards it cannot be asked.
func (s *scheduler) noteDeparture(l *jobLocker) {
	now := s.locker.clock.Now()
	gone := &departure{at: now}
	if now.Sub(l.made) < reloadLimit {
		gone.ticks = append(gone.ticks, l.catch.owed) // it may not have been run yet
	}
	j := l.owner.get()
	if _, random := j.Schedule().(gocron.DurationRandomJobSchedule); !random {
		pending, _ := foresee(j, now, 1)
		gone.ticks = append(gone.ticks, pending...)
	}
	name := l.traits.name
	s.mu.Lock()
	defer s.mu.Unlock()
	s.departed[name] = gone
	time.AfterFunc(reloadLimit, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.departed[name] == gone {
			delete(s.departed, name)
		}
	})
}

// noteDepartureOf is noteDeparture by the ID of a job, which may be unknown.
func (s *scheduler) noteDepartureOf(id uuid.UUID) {
	s.mu.Lock()
	l := s.jobs[id]
	s.mu.Unlock()
	if l != nil {
		s.noteDeparture(l)
	}
}

// succeed has a new job go on where its predecessor was. gocron runs the ticks that came in between neither for the one nor for the
// other, and if all replicas reload then, nobody does.
func (s *scheduler) succeed(l *jobLocker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := s.departed[l.traits.name]
	delete(s.departed, l.traits.name)
	if gone != nil && l.made.Sub(gone.at) < reloadLimit {
		now := wall(s.locker.clock.Now())
		l.catch.owed = newest(time.Time{}, gone.ticks, func(t time.Time) bool { return !wall(t).After(now) })
	}
}

// goOn runs the tick that the job's predecessor owed, if this job has it as well. If it was run, the claim says so.
func (l *jobLocker) goOn(ctx context.Context) {
	tick := l.catch.owed
	if tick.IsZero() || l.locker.clock.Now().Sub(l.made) > reloadLimit {
		return
	}
	if ours, _, err := l.catch.plan(ctx, tick, time.Minute); err == nil && ours.Equal(tick) {
		l.runMissed(ctx, tick)
	}
}
