package asynqadapter

import (
	"reflect"
	"sync"
)

// inUse has the names under which this process enqueues through each client.
// Two schedulers that give one name to different work would share its ticks,
// and each lose what the other one enqueues. The same work is fine: that is a
// replica, if in an odd place.
var inUse = struct {
	sync.Mutex
	names map[claim]*work
}{names: map[claim]*work{}}

// claim is what asynq takes an ID for: one queue of one Redis.
type claim struct {
	client      Enqueuer
	queue, name string
}

type work struct {
	spec, task string
	entries    int
}

func (s *Scheduler) claim(e *entry) claim { return claim{s.client, e.queue, e.name} }

func (s *Scheduler) claimName(e *entry) error {
	if !reflect.ValueOf(s.client).Comparable() { // its type may be, and a value in it not
		return nil
	}
	inUse.Lock()
	defer inUse.Unlock()
	c := s.claim(e)
	w := inUse.names[c]
	if w == nil {
		w = &work{spec: e.spec, task: identity(e.task)}
		inUse.names[c] = w
	}
	if w.spec != e.spec || w.task != identity(e.task) {
		return invalid("another Scheduler of this process has an entry %q on the same client and queue, with spec %q and task %q; give one of them asynqadapter.Name(…), or shut the other down",
			e.name, w.spec, w.task)
	}
	w.entries++
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
	w := inUse.names[c]
	if w.entries--; w.entries == 0 {
		delete(inUse.names, c)
	}
}
