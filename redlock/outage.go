package redlock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// outages has the log say of a job that lacks a quorum for many ticks when that begins, when it costs the first tick, each hour
// of more, and when it ends, with a count. The events of the ticks between are told at debug level.
type outages struct {
	open atomic.Int32 // how many jobs are in one
	mu   sync.Mutex
	jobs map[string]*outage
}

// outage is that of one job.
type outage struct {
	lost   int       // ticks
	untold int       // of these
	since  time.Time // the first tick that was lost
	told   time.Time // when the log heard of a lost one last
	last   *Error
}

// remindEvery is how often the log hears of an outage that goes on.
const remindEvery = time.Hour

// note takes an event into account, and returns it as it is to be told, and what to tell before it.
func (o *outages) note(e Event) (before *Event, _ Event) {
	refusal, ok := errors.AsType[*Error](e.Err)
	ofClaim := ok && !e.Tick.IsZero() && (refusal.Op == "claim" || refusal.Op == "await") // not an adapter's own
	switch {
	case e.Kind == Refused && ofClaim && refusal.Reason == ErrNoQuorum && !refusal.permanent:
		return nil, o.lacks(e, refusal)
	case o.open.Load() == 0 || e.Kind != Acquired && !(e.Kind == Refused && ofClaim) || isOwnEnd(e.Err):
		return nil, e
	}
	return o.end(e.Name, "there is a quorum again"), e
}

// isOwnEnd reports whether a claim was ended by its caller, and so says nothing about the nodes.
func isOwnEnd(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrClosed)
}

func (o *outages) lacks(e Event, refusal *Error) Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	j := o.jobs[e.Name]
	begins := j == nil
	if begins {
		j = &outage{}
		o.jobs[e.Name] = j
		o.open.Add(1)
	}
	if refusal.later {
		e.repeated = !begins
		return e
	}
	if j.lost == 0 {
		j.since = e.Tick
	}
	j.lost++
	j.last = refusal
	if e.repeated = j.lost > 1 && time.Since(j.told) < remindEvery; e.repeated {
		j.untold++
		return e
	}
	if j.untold > 0 {
		refusal.Detail += j.count()
	}
	j.told, j.untold = time.Now(), 0
	return e
}

func (j *outage) count() string {
	return fmt.Sprintf("; %d ticks were lost since %s, of which the log has not told %d", j.lost, j.since.UTC().Format(time.RFC3339), j.untold)
}

// end returns what is left to tell of a job's outage, if there was one.
func (o *outages) end(name, why string) *Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	j := o.jobs[name]
	if j == nil {
		return nil
	}
	delete(o.jobs, name)
	o.open.Add(-1)
	if j.untold == 0 {
		return nil
	}
	sum := *j.last
	sum.Detail = why + j.count()
	sum.Nodes, sum.RefusedBy = nil, nil
	return &Event{Kind: TicksLost, Name: name, Tick: sum.Tick, Err: &sum}
}

// endAll is for a Locker that is closed.
func (o *outages) endAll() (events []Event) {
	o.mu.Lock()
	names := make([]string, 0, len(o.jobs))
	for name := range o.jobs {
		names = append(names, name)
	}
	o.mu.Unlock()
	for _, name := range names {
		if e := o.end(name, "the Locker was closed"); e != nil {
			events = append(events, *e)
		}
	}
	return events
}
