package asynqadapter

import (
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

const maxEntryName = 200

// entry is one registered task.
type entry struct {
	name     string
	spec     string
	schedule schedule
	task     *asynq.Task
	opts     []asynq.Option
	// The rest belongs to the scheduler's mutex.
	next, previous time.Time
}

func (s *Scheduler) newEntry(spec string, task *asynq.Task, opts []asynq.Option) (*entry, error) {
	if task == nil || strings.TrimSpace(task.Type()) == "" {
		return nil, invalid("task is nil or has no type; make it with asynq.NewTask(type, payload)")
	}
	if i := slices.Index(opts, nil); i >= 0 {
		return nil, invalid("option %d of task %q is nil; leave it out", i, task.Type())
	}
	known, others := readOptions(task, opts)
	e := &entry{name: known.name, spec: spec, task: task, opts: others}
	if e.name == "" {
		e.name = identity(task)
	}
	var err error
	if e.schedule, err = parseSpec(spec, s.location); err != nil {
		return nil, err
	}
	if err := e.check(known, s.cfg); err != nil {
		return nil, err
	}
	if !known.retained {
		e.opts = append(e.opts, asynq.Retention(retentionFactor*s.cfg.lateness))
	}
	return e, nil
}

// check refuses what would let a tick be enqueued twice, or never.
func (e *entry) check(known taskOptions, cfg config) error {
	least := leastRetention * cfg.lateness
	switch {
	case len(e.name) > maxEntryName || strings.TrimSpace(e.name) == "":
		return invalid("name %.40q has %d bytes, must have 1 to %d and not be blank", e.name, len(e.name), maxEntryName)
	case known.refused != "":
		return invalid("entry %q has the option %s; a Scheduler gives each tick a task ID of its own, "+
			"and Unique (which leaks its lock when the ID is taken), Group (which frees the ID early) and TaskID do not go with that; leave it out", e.name, known.refused)
	case known.spare:
		return invalid("the task of entry %q was made with an options slice that has room to spare, which asynq would write to for several ticks at a time; "+
			"pass slices.Clip(opts)... to asynq.NewTask, or the options to Register", e.name)
	case known.retained && known.retention < least:
		return invalid("entry %q has Retention(%v), must be at least %v, %d times the lateness (%v): until then a late replica would enqueue the tick again; raise it or lower WithLateness",
			e.name, known.retention, least, leastRetention, cfg.lateness)
	case e.schedule.after(cfg.now()).IsZero():
		return invalid("spec %q of entry %q has no activation in the next five years", e.spec, e.name)
	}
	for _, o := range e.opts {
		if o.Type() == asynq.QueueOpt && strings.TrimSpace(o.Value().(string)) == "" {
			return invalid("entry %q has a blank queue name; leave Queue out for \"default\"", e.name)
		}
	}
	return nil
}

// missed are ticks that are too late to be enqueued. After a long pause there may be many.
type missed struct {
	count  int
	newest time.Time
}

// due takes the ticks that are not after now.
func (e *entry) due(now, oldest time.Time) (ticks []time.Time, late missed) {
	for ; !e.next.IsZero() && !e.next.After(now); e.next = e.schedule.after(e.next) {
		e.previous = e.next
		if e.next.Before(oldest) {
			late = missed{late.count + 1, e.next}
			continue
		}
		ticks = append(ticks, e.next)
	}
	return ticks, late
}
