package asynqadapter

import (
	"reflect"

	"github.com/redtick/redtick/internal/names"
)

// place is what asynq takes a task's ID for: one queue of one Redis. Two
// schedulers that give one name there to different work would share its ticks,
// and each lose what the other one enqueues.
type place struct {
	redis any // the Enqueuer, or what a manager connects with, or the Scheduler
	queue string
}

// work owns an entry's name in this process. The same work may be registered
// twice: that is a replica, if in an odd place.
type work struct {
	place
	text string
}

func (w work) String() string { return "an entry of an asynqadapter.Scheduler with " + w.text }
func (w work) Ended() bool    { return false }

// isNil knows a nil pointer that was made an interface, too.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

// enqueuesTo says which Redis the scheduler shares with others, or that nobody can tell.
func (s *Scheduler) enqueuesTo(redis any) {
	s.redis = redis
	if !reflect.ValueOf(redis).Comparable() { // its type may be, and a value in it not
		s.redis = s
	}
}

// spaces are where an entry's name must be its own: among task IDs, and among
// the jobs of the Locker that hears of triggers.
func (s *Scheduler) spaces(e *entry) []any {
	if s.cfg.triggers == nil {
		return []any{e.work.place}
	}
	return []any{e.work.place, s.cfg.triggers}
}

func (s *Scheduler) claimName(e *entry) error {
	if e.claimed {
		return nil
	}
	spaces := s.spaces(e)
	for i, space := range spaces {
		if other := names.Reserve(space, e.name, e.work, nil); other != nil {
			for _, had := range spaces[:i] {
				names.Free(had, e.name, e.work)
			}
			return invalid("the name %q belongs in this process to %s, and this is %s; give one of them another, here with asynqadapter.Name(…), or remove it first",
				e.name, other, e.work)
		}
	}
	e.claimed = true
	return nil
}

func (s *Scheduler) releaseName(e *entry) {
	if !e.claimed {
		return
	}
	e.claimed = false
	for _, space := range s.spaces(e) {
		names.Free(space, e.name, e.work)
	}
}
