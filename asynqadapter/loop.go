package asynqadapter

import (
	"time"
)

const (
	// maxSleep bounds how long a step of the wall clock goes unnoticed.
	maxSleep = time.Minute
	// reloadLimit is how soon an entry must be registered again to go on where it was.
	reloadLimit = 10 * time.Second
	// jumpLimit is how far the wall clock must get ahead of the monotonic clock to
	// count as set forward. Slewing stays far below.
	jumpLimit = time.Second
)

// moment is an instant on both clocks. Ticks are instants of the wall clock; the
// monotonic clock shows whether that was set.
type moment struct {
	wall time.Time // without a monotonic reading
	mono time.Time
}

func (s *Scheduler) moment() moment {
	return moment{wall: s.cfg.now().Round(0), mono: time.Now()}
}

// jumped reports whether the wall clock was set forward between two moments.
func (m moment) jumped(since moment) bool {
	return m.wall.Sub(since.wall)-m.mono.Sub(since.mono) > jumpLimit
}

func (s *Scheduler) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			s.fire() // ticks that came due since the last time
			return
		case <-timer.C:
		case <-s.changed:
		}
		timer.Reset(min(s.fire(), maxSleep))
	}
}

func (s *Scheduler) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// fire starts the ticks that are due and returns the time until the next one, at most
// maxSleep.
func (s *Scheduler) fire() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.moment()
	pause := maxSleep
	for _, e := range s.entries {
		s.take(e, now)
		if !e.next.IsZero() {
			pause = min(pause, e.next.Sub(now.wall))
		}
	}
	for id, e := range s.departed {
		if now.mono.Sub(e.seen.mono) > reloadLimit {
			delete(s.departed, id)
		}
	}
	return max(pause, 0)
}

// take starts the due ticks of one entry. s.mu must be held.
func (s *Scheduler) take(e *entry, now moment) {
	if now.wall.Before(e.seen.wall) {
		// The clock was set back. Ticks that come again find their task IDs taken,
		// unless they were enqueued long ago.
		e.begin(now)
		s.hide(e) // asynq's scheduler does not notice a set clock
		s.show(e, now.wall)
		return
	}
	ticks, missed, late := e.due(now, now.wall.Add(-s.cfg.lateness), s.cfg.newestOnly || now.jumped(e.seen))
	e.seen = now
	if late != nil {
		s.ticks.Go(func() { s.giveUp(e, missed, e.opts, late) })
	}
	for _, tick := range ticks {
		s.ticks.Go(func() { s.enqueue(e, tick) })
	}
	s.show(e, now.wall)
}
