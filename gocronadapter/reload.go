package gocronadapter

import (
	"context"
	"slices"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/redlock"
)

// reloadLimit is how soon a new job with the same name must be added to run the ticks that its predecessor left.
const reloadLimit = 10 * time.Second

// departure is what a removed job leaves to its successor.
type departure struct {
	ticks []time.Time // that it may not have run: standing by, or pending in gocron
}

// noteDeparture notes the ticks that a job may leave. It is called before gocron removes or replaces the job, which cannot be asked
// afterwards.
func (s *scheduler) noteDeparture(l *jobLocker) {
	now := s.locker.clock.Now()
	gone := new(departure)
	state := l.state.Load()
	if state != nil && state.queue != nil {
		gone.ticks = state.queue.Ticks()
	}
	if now.Sub(l.spec.createdAt) < reloadLimit {
		gone.ticks = append(gone.ticks, l.owed...) // their runs may not have come
	}
	if _, random := l.job.Schedule().(gocron.DurationRandomJobSchedule); !random {
		pending, _ := foresee(l.job, now, 1) // the claim of the first may be under way; it ends with the job
		gone.ticks = append(gone.ticks, pending...)
		var asked time.Time
		if state != nil {
			state.mu.Lock() // a run holds it while it asks gocron, which has just answered
			asked = state.asked
			state.mu.Unlock()
		}
		queued := slices.DeleteFunc(pending, func(t time.Time) bool { return !t.After(asked) || wall(t).After(wall(now)) })
		l.extraRuns.noteQueued(len(queued), 0, false) // their runs go to the new job; the queue may still hold what an earlier run left
	}
	stopped := s.life().Err() != nil
	gone.ticks = slices.DeleteFunc(gone.ticks, func(t time.Time) bool { // gocron does not run ticks that came while it was stopped
		return stopped || wall(t).Before(wall(*s.started.Load()))
	})
	name := l.name
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

// inherit gives a new job the ticks that its predecessor left. gocron runs those that came in between for neither job, so if all replicas
// reload at once, nobody would.
func (s *scheduler) inherit(l *jobLocker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := s.departed[l.name]
	delete(s.departed, l.name)
	if gone != nil {
		now := wall(s.locker.clock.Now())
		slices.SortFunc(gone.ticks, time.Time.Compare)
		l.owed = slices.DeleteFunc(slices.CompactFunc(gone.ticks, time.Time.Equal), func(t time.Time) bool { return wall(t).After(now) })
	}
}

// runOwed runs the ticks that the job's predecessor left, if the newest is a tick of this job too. The claim refuses those that have run.
func (l *jobLocker) runOwed(ctx context.Context) {
	owed := l.owed
	if len(owed) == 0 || l.locker.clock.Now().Sub(l.spec.createdAt) > reloadLimit {
		return
	}
	tick := owed[len(owed)-1]
	if ours, err := l.plan(ctx, tick, time.Minute); err == nil && ours.newest.Equal(tick) && l.locked() {
		l.runTicks(ctx, redlock.DefaultRetention, false, owed...) // gocron may drop the job's runs silently
	}
}
