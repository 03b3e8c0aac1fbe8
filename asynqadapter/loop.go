package asynqadapter

import (
	"time"
)

const (
	// maxSleep bounds how long a step of the wall clock goes unnoticed.
	maxSleep = time.Minute
	// reloadLimit is how soon an entry must come back to go on where it was.
	reloadLimit = 10 * time.Second
	// jumpLimit is how much further than the process's own clock the wall clock
	// must have gone to count as set forward. Slewing stays far below.
	jumpLimit = time.Second
)

// moment is an instant by both clocks: ticks are instants of the wall clock,
// but only the process's own clock, which nobody sets, shows that it was set.
type moment struct {
	wall time.Time // without a monotonic reading
	own  time.Time
}

func (s *Scheduler) moment() moment {
	return moment{wall: s.cfg.now().Round(0), own: time.Now()}
}

// jumped reports whether the wall clock was set forward between two moments.
func (m moment) jumped(since moment) bool {
	return m.wall.Sub(since.wall)-m.own.Sub(since.own) > jumpLimit
}

func (s *Scheduler) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			s.fire() // what became due while nobody looked
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

// fire starts what is due and returns how long nothing will be.
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
		if now.own.Sub(e.seen.own) > reloadLimit {
			delete(s.departed, id)
		}
	}
	return max(pause, 0)
}

// take starts the ticks of one entry that are due.
func (s *Scheduler) take(e *entry, now moment) {
	if now.wall.Before(e.seen.wall) {
		// The clock was set back. Ticks that come again have their IDs taken,
		// unless they were enqueued too long ago to matter.
		e.begin(now)
		s.hide(e) // asynq's scheduler does not notice it
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
