package gocronadapter

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/redlock"
)

// noteBlocked notes the end of a Lock. gocron plans a job's next tick only then, and drops or queues the ticks that came meanwhile.
// Without a quorum that may be half of the ticks of a job that runs each second, so reportLost reports them like the tick of the Lock.
func (s *jobState) noteBlocked(noQuorum bool) {
	now := s.locker.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blockedUntil, s.noQuorum = now, noQuorum
}

// lostBefore returns the ticks before this one that came during the previous Lock.
func (s *jobState) lostBefore(skipped []time.Time, tick time.Time) []time.Time {
	if d, ok := s.job.Schedule().(gocron.DurationJobSchedule); ok && !s.asked.IsZero() && d.Duration > 0 && tick.Sub(s.asked)%d.Duration == 0 {
		skipped = nil // gocron does not list all of them
		for t := s.asked.Add(d.Duration); t.Before(tick) && !wall(t).After(wall(s.blockedUntil)); t = t.Add(d.Duration) {
			skipped = append(skipped, t)
		}
	}
	return slices.DeleteFunc(slices.Clone(skipped), func(t time.Time) bool { return wall(t).After(wall(s.blockedUntil)) })
}

// reportLost reports the ticks that were lost during the previous Lock.
func (s *jobState) reportLost(d due) {
	ticks := d.lost
	if len(ticks) == 0 {
		return
	}
	j, err := s.redlockJob(d.tick)
	if err != nil {
		return // Claim returns the error
	}
	s.mu.Lock()
	noQuorum := s.noQuorum
	s.mu.Unlock()
	event := redlock.Event{Kind: redlock.Refused, Name: j.Name(), Tick: ticks[len(ticks)-1]}
	if !noQuorum {
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
