package asynqadapter

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/internal/names"
	"github.com/redtick/redtick/redlock"
)

const maxEntryName = 200

// How long a finished task keeps its ID, in multiples of the lateness: the default,
// and the minimum that Register accepts.
const (
	retentionFactor = 3
	leastRetention  = 2
)

// entry is one registered task.
type entry struct {
	name     string
	queue    string
	spec     string
	schedule schedule
	task     *asynq.Task
	opts     []asynq.Option
	// signature differs once a manager's entry has changed in more than its spec. It is
	// computed at once because the task's contents may be changed in place.
	signature string
	owner     owner        // of the name, in this process
	spaces    []any        // where the name must be unique: the task IDs, and the jobs of the Locker for triggers
	job       *redlock.Job // nil unless it can be triggered
	// The scheduler's mutex guards the rest, except failing.
	*progress
	held  int    // in how many of spaces the name is claimed
	stop  func() // stops listening to triggers; nil if not listening
	shown string // ID in the mirror; "" if not there
}

// progress is how far an entry's ticks have come. An entry that is replaced within
// reloadLimit passes it on to the new one, and shares it in the ticks that it still
// tries to enqueue.
type progress struct {
	seen           moment // all ticks up to here were taken
	next, previous time.Time
	failing        atomic.Bool // the last attempt failed
}

func (s *Scheduler) newEntry(spec string, task *asynq.Task, opts []asynq.Option) (*entry, error) {
	known, others, err := readOptions(task, opts, s.cfg.managed)
	if err != nil {
		return nil, err
	}
	e := &entry{name: known.name, queue: known.queue, spec: spec, task: task, opts: others, progress: &progress{}}
	if len(e.name) > maxEntryName || strings.TrimSpace(e.name) == "" {
		return nil, invalid("name %.40q has %d bytes, must have 1 to %d and not be blank", e.name, len(e.name), maxEntryName)
	}
	e.owner = owner{place{s.redis, e.queue}, fmt.Sprintf("task %q", identity(task))}
	if !s.cfg.managed { // a manager's task may have several specs
		e.owner.text += fmt.Sprintf(" and spec %q", spec)
	}
	if e.schedule, err = parseSpec(spec, s.opts.Location); err != nil {
		return nil, err
	}
	if known.retention == unset {
		known.retention = retentionFactor * s.cfg.lateness
		e.opts = append(e.opts, asynq.Retention(known.retention))
	}
	if err := known.check(e.name, s.cfg.lateness); err != nil {
		return nil, err
	}
	if e.schedule.after(s.cfg.now()).IsZero() {
		return nil, invalid("spec %q of entry %q has no activation in the next five years", spec, e.name)
	}
	e.signature = fmt.Sprintf("%q", []any{e.name, identity(task), task.Headers(), sorted(optionsInside(task)), sorted(e.opts)})
	e.spaces = []any{e.owner.place}
	if s.cfg.triggers != nil {
		e.spaces = append(e.spaces, s.cfg.triggers)
		e.job, err = s.cfg.triggers.NewJob(e.name, redlock.WithSchedule(e.spec, e.schedule.after))
	}
	return e, err
}

func sorted(opts []asynq.Option) []asynq.Option {
	return slices.SortedFunc(slices.Values(opts), func(a, b asynq.Option) int { return strings.Compare(a.String(), b.String()) })
}

// place is where asynq's task IDs are unique: one queue of one Redis. If two
// schedulers gave different tasks the same name there, each would lose the ticks that
// the other enqueues.
type place struct {
	redis any
	queue string
}

// owner owns an entry's name in this process. Equal owners share it: two schedulers in
// a process with the same entry are replicas.
type owner struct {
	place
	text string
}

func (o owner) String() string {
	return fmt.Sprintf("an entry of an asynqadapter.Scheduler with %s in queue %q", o.text, o.queue)
}
func (o owner) Ended() bool { return false }

// isNil reports whether v is nil or holds a nil pointer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

// claimName claims the name of an entry that is added. s.mu must be held.
func (s *Scheduler) claimName(e *entry) error {
	if s.closed() {
		return invalid("entry %q comes after Shutdown, so it would never be enqueued; make a new Scheduler", e.name)
	}
	for _, space := range e.spaces[e.held:] {
		if other := names.Reserve(space, e.name, e.owner, nil); other != nil {
			e.releaseName()
			return invalid("the name %q belongs in this process to %s, and this is %s; rename one of them, here with asynqadapter.Name(…), or remove the other first",
				e.name, other, e.owner)
		}
		e.held++
	}
	return nil
}

func (e *entry) releaseName() {
	for _, space := range e.spaces[:e.held] {
		names.Free(space, e.name, e.owner)
	}
	e.held = 0
}
