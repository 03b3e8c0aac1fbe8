package gocronadapter

import (
	"context"
	"slices"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// reloadLimit is how soon a job must be back under its name to go on where its predecessor was.
const reloadLimit = 10 * time.Second

// departure is what the successor of a job needs to know of it.
type departure struct {
	ticks []time.Time // that it may not have run: those that stand by, and those that gocron has pending
}

// noteDeparture is called before gocron is told to remove the job, or to replace it: afterwards it cannot be asked.
func (s *scheduler) noteDeparture(l *jobLocker) {
	now := s.locker.clock.Now()
	gone := &departure{l.standingBy()}
	if now.Sub(l.made) < reloadLimit {
		gone.ticks = append(gone.ticks, l.catch.owed...) // their run may not have come
	}
	j := l.owner.get()
	if _, random := j.Schedule().(gocron.DurationRandomJobSchedule); !random {
		pending, _ := foresee(j, now, 1) // the claim of the first may be under way, and ends with the job
		gone.ticks = append(gone.ticks, pending...)
		l.noteQueued(pending, now)
	}
	stopped := s.life() == nil
	gone.ticks = slices.DeleteFunc(gone.ticks, func(t time.Time) bool { // gocron runs none that came while it was stopped
		return stopped || wall(t).Before(wall(*s.started.Load()))
	})
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

// succeed has a new job go on where its predecessor was. gocron runs the ticks that came in between neither for the one nor for the
// other, and if all replicas reload then, nobody does.
func (s *scheduler) succeed(l *jobLocker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := s.departed[l.traits.name]
	delete(s.departed, l.traits.name)
	if gone != nil {
		now := wall(s.locker.clock.Now())
		slices.SortFunc(gone.ticks, time.Time.Compare)
		l.catch.owed = slices.DeleteFunc(slices.CompactFunc(gone.ticks, time.Time.Equal), func(t time.Time) bool { return wall(t).After(now) })
	}
}

// standingBy lists the ticks of the job that may be taken over.
func (l *jobLocker) standingBy() []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == nil || l.state.queue == nil {
		return nil
	}
	return l.state.queue.Ticks()
}

// noteQueued counts the runs that gocron may have in a queue, which passes them on to the job that replaces this one. A run holds
// the state's mutex while it asks gocron, so this comes after gocron has answered, and not for random schedules, which are not asked.
func (l *jobLocker) noteQueued(pending []time.Time, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var asked time.Time
	if s := l.state; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		asked = s.asked
	}
	pending = slices.DeleteFunc(pending, func(t time.Time) bool { return !t.After(asked) || wall(t).After(wall(now)) })
	l.extras.noteQueued(len(pending), 0, false) // what an earlier run has left in the queue may still be there
}

// goOn runs what the job's predecessor owed, if this job has the newest of those ticks as well. If one was run, its claim says so.
func (l *jobLocker) goOn(ctx context.Context) {
	owed := l.catch.owed
	if len(owed) == 0 || l.locker.clock.Now().Sub(l.made) > reloadLimit {
		return
	}
	tick := owed[len(owed)-1]
	if ours, _, err := l.catch.plan(ctx, tick, time.Minute); err == nil && ours.Equal(tick) {
		l.runMissed(ctx, owed...)
	}
}
