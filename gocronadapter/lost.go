package gocronadapter

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/redlock"
)

// gocron plans a job's next tick once Lock has returned, and then drops those that have come meanwhile, or has them in a queue.
// Without a quorum that may be every other tick of a job of each second, so they are told like the one that Lock was called for.
func (s *jobState) noteBlocked(lacked bool) {
	now := s.locker.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked, s.lacked = now, lacked
}

// lostBefore lists the ticks before this one that came while the Lock before was asked.
func (s *jobState) lostBefore(skipped []time.Time, tick time.Time) []time.Time {
	if d, ok := s.job.Schedule().(gocron.DurationJobSchedule); ok && !s.asked.IsZero() && d.Duration > 0 && tick.Sub(s.asked)%d.Duration == 0 {
		skipped = nil // gocron has not listed all of them
		for t := s.asked.Add(d.Duration); t.Before(tick) && !wall(t).After(wall(s.blocked)); t = t.Add(d.Duration) {
			skipped = append(skipped, t)
		}
	}
	return slices.DeleteFunc(slices.Clone(skipped), func(t time.Time) bool { return wall(t).After(wall(s.blocked)) })
}

// reportLost is called before the next Lock ends.
func (s *jobState) reportLost(d due) {
	ticks := d.lost
	if len(ticks) == 0 {
		return
	}
	j, err := s.redlockJob(d.tick)
	if err != nil {
		return // Claim says so
	}
	s.mu.Lock()
	lacked := s.lacked
	s.mu.Unlock()
	event := redlock.Event{Kind: redlock.Refused, Name: j.Name(), Tick: ticks[len(ticks)-1]}
	if !lacked {
		event.Err = fmt.Errorf("%w: %d ticks of job %q, since %v, came while the votes on the one before took longer than its interval, so gocron did not run them here; is a node slow?",
			ErrNoTick, len(ticks), s.name, ticks[0].UTC())
		s.locker.locker.Report(event)
		return
	}
	for _, event.Tick = range ticks {
		event.Err = &redlock.Error{Op: "claim", Name: event.Name, Tick: event.Tick.UTC(), Reason: redlock.ErrNoQuorum,
			Detail: "gocron did not run the tick, which came while the votes on the one before took longer than its interval"}
		s.locker.locker.Report(event)
	}
}
