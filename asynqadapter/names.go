package asynqadapter

import (
	"reflect"
	"sync"
)

// inUse has the names under which this process enqueues to each Redis. Two
// schedulers that give one name to different work would share its ticks, and
// each lose what the other one enqueues. The same work is fine: that is a
// replica, if in an odd place.
var inUse = struct {
	sync.Mutex
	names map[claim]*claimed
}{names: map[claim]*claimed{}}

// claim is what asynq takes an ID for: one queue of one Redis.
type claim struct {
	redis       any // the Enqueuer, or what a manager connects with
	queue, name string
}

type claimed struct {
	work    string
	entries int
}

func (s *Scheduler) claim(e *entry) claim { return claim{s.redis, e.queue, e.name} }

func (s *Scheduler) claimName(e *entry) error {
	if e.claimed || !reflect.ValueOf(s.redis).Comparable() { // its type may be, and a value in it not
		return nil
	}
	inUse.Lock()
	defer inUse.Unlock()
	c := s.claim(e)
	name := inUse.names[c]
	if name == nil {
		name = &claimed{work: e.work}
		inUse.names[c] = name
	}
	if name.work != e.work {
		return invalid("another Scheduler of this process has an entry %q on the same Redis and queue, with %s, and this one has %s; give one of them asynqadapter.Name(…), or shut the other down",
			e.name, name.work, e.work)
	}
	name.entries++
	e.claimed = true
	return nil
}

func (s *Scheduler) releaseName(e *entry) {
	if !e.claimed {
		return
	}
	inUse.Lock()
	defer inUse.Unlock()
	e.claimed = false
	c := s.claim(e)
	name := inUse.names[c]
	if name.entries--; name.entries == 0 {
		delete(inUse.names, c)
	}
}
