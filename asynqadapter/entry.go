package asynqadapter

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

const maxEntryName = 200

// How long a finished task keeps its ID, in multiples of the lateness: the
// default, and the least that Register accepts.
const (
	retentionFactor = 3
	leastRetention  = 2
)

// entry is one registered task.
type entry struct {
	name     string
	queue    string
	spec     string
	work     work // whose the name is in this process
	schedule schedule
	task     *asynq.Task
	opts     []asynq.Option
	// signature is compared to see whether a manager's entry has changed. What its task carries may change in place.
	signature string
	job       *redlock.Job // nil unless it can be triggered
	// The rest belongs to the scheduler's mutex.
	*course
	claimed bool   // the name, in this process
	stop    func() // ends the listening; nil when there is none
	shown   string // the ID that the mirror gave it
}

// course is how far an entry's ticks have come. One that replaces an entry goes on with
// it, and so does what the old one still tries to enqueue.
type course struct {
	seen           moment // when it was last looked at: ticks up to here were taken
	next, previous time.Time
	failing        bool // no attempt has worked since one failed
}

func (s *Scheduler) newEntry(spec string, task *asynq.Task, opts []asynq.Option) (*entry, error) {
	if err := checkTask(task, opts); err != nil {
		return nil, err
	}
	known, others := readOptions(task, opts, s.cfg.managed)
	e := &entry{name: known.name, queue: known.queue, spec: spec, task: task, opts: others, course: &course{}}
	if e.name == "" {
		e.name = identity(task)
	}
	if len(e.name) > maxEntryName || strings.TrimSpace(e.name) == "" {
		return nil, invalid("name %.40q has %d bytes, must have 1 to %d and not be blank", e.name, len(e.name), maxEntryName)
	}
	e.work = work{place{s.redis, e.queue}, fmt.Sprintf("task %q", identity(task))}
	if !s.cfg.managed { // then a task may have several specs
		e.work.text += fmt.Sprintf(" and spec %q", spec)
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
	e.signature = e.sign()
	return e, s.prepareTriggers(e)
}

// begin forgets what was derived from the wall clock and derives it anew.
func (e *entry) begin(now moment) {
	e.seen, e.next = now, e.schedule.after(now.wall)
	if e.previous.After(now.wall) {
		e.previous = time.Time{}
	}
}

// due takes the ticks that are not after now, and missed is the first of those
// that are left out. It does not walk through the ones that are too old: a clock may be set
// forward by decades, as when a machine without one first hears of the time.
func (e *entry) due(now moment, oldest time.Time, newestOnly bool) (ticks []time.Time, missed time.Time, err error) {
	if e.next.IsZero() || e.next.After(now.wall) {
		return nil, missed, nil
	}
	first := e.next
	if first.Before(oldest) {
		first = e.schedule.after(oldest.Add(-time.Nanosecond))
	}
	if newest := e.schedule.upTo(now.wall); newestOnly && newest.After(first) {
		first = newest
	}
	if first.After(e.next) {
		missed, err = e.next, fmt.Errorf("%w: it passed while this process was paused or its clock was set forward, as did all until %s", ErrLate, formatTick(first))
	}
	for e.next = first; !e.next.IsZero() && !e.next.After(now.wall); e.next = e.schedule.after(e.next) {
		ticks = append(ticks, e.next)
		e.previous = e.next
	}
	return ticks, missed, err
}

// checkTask refuses what asynq would refuse later, or panic on.
func checkTask(task *asynq.Task, opts []asynq.Option) error {
	if task == nil || strings.TrimSpace(task.Type()) == "" {
		return invalid("task is nil or has no type; make it with asynq.NewTask(type, payload)")
	}
	if i := slices.Index(opts, nil); i >= 0 {
		return invalid("option %d of task %q is nil; leave it out", i+1, task.Type())
	}
	return nil
}
