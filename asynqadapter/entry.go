package asynqadapter

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

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
	owner    owner // of the name, in this process
	schedule schedule
	task     *asynq.Task
	opts     []asynq.Option
	// signature differs once a manager's entry has changed in more than its spec. It is
	// computed at once because the task's contents may be changed in place.
	signature string
	job       *redlock.Job // nil unless it can be triggered
	// The scheduler's mutex guards the rest, except failing.
	*progress
	held  []any  // where the name is claimed in this process
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
	if err := checkTask(task, opts); err != nil {
		return nil, err
	}
	known, others := readOptions(task, opts, s.cfg.managed)
	e := &entry{name: known.name, queue: known.queue, spec: spec, task: task, opts: others, progress: &progress{}}
	if e.name == "" {
		e.name = identity(task)
	}
	if len(e.name) > maxEntryName || strings.TrimSpace(e.name) == "" {
		return nil, invalid("name %.40q has %d bytes, must have 1 to %d and not be blank", e.name, len(e.name), maxEntryName)
	}
	e.owner = owner{place{s.redis, e.queue}, fmt.Sprintf("task %q", identity(task))}
	if !s.cfg.managed { // a manager's task may have several specs
		e.owner.text += fmt.Sprintf(" and spec %q", spec)
	}
	var err error
	if e.schedule, err = parseSpec(spec, s.location); err != nil {
		return nil, err
	}
	if !known.retained {
		retention := retentionFactor * s.cfg.lateness
		e.opts = append(e.opts, asynq.Retention(retention))
		known.retention, known.retained = retention, true
	}
	if err := known.check(e.name, s.cfg.lateness); err != nil {
		return nil, err
	}
	if e.schedule.after(s.cfg.now()).IsZero() {
		return nil, invalid("spec %q of entry %q has no activation in the next five years", spec, e.name)
	}
	e.signature = fmt.Sprintf("%q", []any{e.name, identity(task), task.Headers(), sorted(optionsInside(task)), sorted(e.opts)})
	return e, s.prepareTriggers(e)
}

func sorted(opts []asynq.Option) []asynq.Option {
	return slices.SortedFunc(slices.Values(opts), func(a, b asynq.Option) int { return strings.Compare(a.String(), b.String()) })
}

// checkTask refuses arguments that asynq would refuse later or panic on.
func checkTask(task *asynq.Task, opts []asynq.Option) error {
	if task == nil || strings.TrimSpace(task.Type()) == "" {
		return invalid("task is nil or has no type; make it with asynq.NewTask(type, payload)")
	}
	if i := slices.Index(opts, nil); i >= 0 {
		return invalid("option %d of task %q is nil; leave it out", i+1, task.Type())
	}
	return nil
}
