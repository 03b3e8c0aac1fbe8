package redlock

import (
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Triggered returns the job on which to claim the ticks of [Job.OnTrigger], which are
// runs by hand. Such a claim does not affect the order of the schedule's ticks, so it
// blocks a scheduled tick only while its run lasts. It is not taken over, caught up
// on, or asked for again once refused. Pauses apply to it, spacing does not.
func (j *Job) Triggered() *Job {
	t := j.t
	t.cfg.triggered = !t.cfg.anyOrder // if the job's ticks are in order, a tick stays its claim's fence
	t.cfg.anyOrder, t.cfg.takeover, t.cfg.owner = true, false, ""
	t.cfg.catchUp, t.cfg.lateness = 0, 0
	t.setName(t.name.Lock)
	return &Job{t}
}

// OnTrigger calls run on every listening replica each time an operator triggers the
// job, with the tick to claim on [Job.Triggered]. One replica is granted it. run must
// not block. The observer is told of each trigger, and if a node's triggers cannot be
// heard. A trigger reaches jobs of the same name in all databases of a server.
//
// The Locker subscribes once on each node for all its jobs, on a connection of its
// own, from the first OnTrigger until the last stop or Close. A trigger published
// while nobody is subscribed is lost, and the operator is told so. If run is nil or
// no node is a [driver.Subscriber] the error matches [ErrInvalid], and after Close it
// is [ErrClosed].
func (j *Job) OnTrigger(run func(tick time.Time)) (stop func(), err error) {
	if run == nil {
		return nil, invalid("the function for triggers of job %q is nil; pass one that claims the tick on the job of Triggered", j.Name())
	}
	l := &j.t.locker.triggers
	if !l.Subscribable() {
		return nil, invalid("no node is a driver.Subscriber, so job %q would hear no trigger; use another driver, or leave triggers out", j.Name())
	}
	stop, ok := l.Listen(j.Name(), func(t protocol.Trigger) { run(protocol.Instant(t.Tick)) })
	if !ok {
		return nil, ErrClosed
	}
	return stop, nil
}

func (l *Locker) reportTrigger(t protocol.Trigger) {
	l.Report(Event{Kind: Triggered, Name: t.Name, Tick: protocol.Instant(t.Tick), By: protocol.Clip(t.By)})
}

func (l *Locker) reportUnheard(kind EventKind, node string, cause error) {
	l.Report(Event{Kind: kind, Node: node, Err: cause})
}
