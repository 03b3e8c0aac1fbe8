package redlock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// outages keeps a job that lacks a quorum for many ticks from flooding the log. The log hears when that begins, when the first
// tick is lost, then once an hour, and when it ends, with a count. The events in between go to debug level.
type outages struct {
	open  atomic.Int32 // how many jobs have one, for who does not hold mu
	mu    sync.Mutex
	jobs  map[string]*outage
	swept time.Time // when forget last looked
}

// outage is the outage of one job.
type outage struct {
	lost   int       // ticks
	untold int       // how many of these the log has not heard of
	since  time.Time // the first tick that was lost
	told   time.Time // when the log last heard of it
	last   *Error
}

// remindEvery is how often the log hears of an outage that goes on.
const remindEvery = time.Hour

// note takes an event into account. It returns the event as it is to be reported, and one to be reported before it, if any.
func (o *outages) note(e Event) (before *Event, _ Event) {
	refusal := refusalOf(e.Err)
	ofClaim := !e.Tick.IsZero() && (refusal.Op == "claim" || refusal.Op == "await") // not an adapter's own
	o.mu.Lock()
	defer o.unlock()
	o.forget()
	switch {
	case e.Kind == Refused && ofClaim && refusal.Reason == ErrNoQuorum:
		return nil, o.lacks(e, refusal)
	case e.Kind == Refused && !ofClaim, isOwnEnd(e.Err):
		return nil, e
	}
	return o.end(e.Name, "there is a quorum again"), e
}

// unlock releases mu, once the count is up to date.
func (o *outages) unlock() {
	o.open.Store(int32(len(o.jobs)))
	o.mu.Unlock()
}

// forget drops the jobs of which the log would hear with their next lost tick anyway. A name that is used once has none, so its
// outage never ends. The caller holds mu.
func (o *outages) forget() {
	if time.Since(o.swept) < remindEvery {
		return
	}
	o.swept = time.Now()
	for name, j := range o.jobs {
		if j.untold == 0 && time.Since(j.told) >= remindEvery {
			delete(o.jobs, name)
		}
	}
}

// isOwnEnd reports whether the caller ended a claim, so that its error says nothing about the nodes.
func isOwnEnd(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrClosed)
}

// lacks notes that a job's claim lacks a quorum. The caller holds mu.
func (o *outages) lacks(e Event, refusal *Error) Event {
	j := o.jobs[e.Name]
	begins := j == nil
	if begins {
		j = &outage{told: time.Now()}
		o.jobs[e.Name] = j
	}
	if refusal.asksAgain {
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

// end ends a job's outage, if there is one, and returns the count that the log has not heard, if any. The caller holds mu.
func (o *outages) end(name, why string) *Event {
	j := o.jobs[name]
	if j == nil {
		return nil
	}
	delete(o.jobs, name)
	if j.untold == 0 {
		return nil
	}
	sum := *j.last
	sum.Detail = why + j.count()
	sum.Nodes, sum.RefusedBy = nil, nil
	return &Event{Kind: TicksLost, Name: name, Tick: sum.Tick, Err: &sum}
}

// endAll ends all outages when the Locker is closed.
func (o *outages) endAll() (events []Event) {
	o.mu.Lock()
	defer o.unlock()
	for name := range o.jobs {
		if e := o.end(name, "the Locker was closed"); e != nil {
			events = append(events, *e)
		}
	}
	return events
}
