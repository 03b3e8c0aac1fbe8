package asynqadapter

import (
	"reflect"

	"github.com/redtick/redtick/internal/names"
)

// place is where asynq's task IDs are unique: one queue of one Redis. If two
// schedulers gave different tasks the same name there, each would lose the ticks that
// the other enqueues.
type place struct {
	redis any // the Enqueuer, or what a manager connects with, or else the Scheduler
	queue string
}

// owner owns an entry's name in this process. Equal owners share it: two schedulers in
// a process with the same entry are replicas.
type owner struct {
	place
	text string
}

func (o owner) String() string { return "an entry of an asynqadapter.Scheduler with " + o.text }
func (o owner) Ended() bool    { return false }

// isNil reports whether v is nil or holds a nil pointer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

// setRedis sets what identifies the scheduler's Redis: redis if it can be compared,
// else the scheduler itself, as if it shared its Redis with no other.
func (s *Scheduler) setRedis(redis any) {
	s.redis = redis
	if !reflect.ValueOf(redis).Comparable() { // checks the value: an interface inside may hold an incomparable one
		s.redis = s
	}
}

// spaces returns where an entry's name must be unique: among the task IDs, and among
// the jobs of the Locker for triggers.
func (s *Scheduler) spaces(e *entry) []any {
	if s.cfg.triggers == nil {
		return []any{e.owner.place}
	}
	return []any{e.owner.place, s.cfg.triggers}
}

func (s *Scheduler) claimName(e *entry) error {
	for _, space := range s.spaces(e)[len(e.held):] {
		if other := names.Reserve(space, e.name, e.owner, nil); other != nil {
			e.releaseName()
			return invalid("the name %q belongs in this process to %s, and this is %s; rename one of them, here with asynqadapter.Name(…), or remove the other first",
				e.name, other, e.owner)
		}
		e.held = append(e.held, space)
	}
	return nil
}

func (e *entry) releaseName() {
	for _, space := range e.held {
		names.Free(space, e.name, e.owner)
	}
	e.held = nil
}
