package redlock

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// outages keeps a job that lacks a quorum for many ticks from flooding the log. The log hears when that begins, when the first
// tick is lost, then once an hour, and when it ends, with a count. The events in between go to debug level.
//
// A tick is lost if a call for it ended without a quorum. It may still run elsewhere, or here when it is asked for again.
type outages struct {
	open  atomic.Int32 // len(jobs), read without mu
	mu    sync.Mutex
	jobs  map[string]*outage
	swept time.Time // when forget last looked
}

// outage is the outage of one job.
type outage struct {
	lost   int       // ticks
	hidden int       // how many of these went to debug level and were not counted in the log yet
	since  time.Time // the first tick that was lost
	last   time.Time // the newest one
	op     string    // the call that lost it
	logged time.Time // when the log last heard of the outage
}

// remindEvery is how often the log hears of an outage that goes on.
const remindEvery = time.Hour

// byQuorum are the reasons that only a quorum can give.
var byQuorum = []error{ErrTaken, ErrTickDone, ErrTickStale, ErrClockSkew, ErrPaused}

// note takes an event into account. It returns the event as it is to be reported, and one to be reported before it, if any.
func (o *outages) note(e Event) (before *Event, _ Event) {
	refusal := refusalOf(e.Err)
	o.mu.Lock()
	defer o.unlock()
	o.forget()
	switch {
	case e.Kind == Acquired, refusal.next != unstated && slices.Contains(byQuorum, refusal.Reason):
		return o.end(e.Name, "there is a quorum again"), e
	case e.Tick.IsZero():
		return nil, e
	case refusal.Reason == ErrNoQuorum, refusal.Reason == context.DeadlineExceeded && o.jobs[e.Name] != nil:
		return nil, o.lacks(e, refusal)
	}
	return nil, e
}

// unlock releases mu, once the count is up to date.
func (o *outages) unlock() {
	o.open.Store(int32(len(o.jobs)))
	o.mu.Unlock()
}

// forget drops the outages that have nothing left to count and whose next lost tick would be logged anyway. Otherwise that of a
// name that is used once would stay for ever, since only an answer for the name ends it. The caller holds mu.
func (o *outages) forget() {
	if time.Since(o.swept) < remindEvery {
		return
	}
	o.swept = time.Now()
	for name, j := range o.jobs {
		if j.hidden == 0 && time.Since(j.logged) >= remindEvery {
			delete(o.jobs, name)
		}
	}
}

// lacks notes that a job's claim lacks a quorum. The caller holds mu.
func (o *outages) lacks(e Event, refusal *Error) Event {
	j := o.jobs[e.Name]
	begins := j == nil
	if begins {
		j = &outage{logged: time.Now()}
		o.jobs[e.Name] = j
	}
	if refusal.next == asksOn { // its tick is not lost yet
		e.repeated = !begins
		return e
	}
	e.repeated = j.lost > 0 && time.Since(j.logged) < remindEvery
	fresh := e.Tick.After(j.last) // else another call asked for it before, as under take-over and in a queue
	if fresh {
		if j.lost == 0 {
			j.since = e.Tick
		}
		j.lost++
		j.last, j.op = e.Tick, refusal.Op
	}
	if e.repeated {
		if fresh {
			j.hidden++
		}
		return e
	}
	if j.hidden > 0 {
		e.Err = fmt.Errorf("%w%s", e.Err, j.count()) // the error itself is the caller's, who may have it by now
	}
	j.logged, j.hidden = time.Now(), 0
	return e
}

func (j *outage) count() string {
	return fmt.Sprintf("; %d ticks were lost since %s, of which the log has not told %d", j.lost, j.since.UTC().Format(time.RFC3339), j.hidden)
}

// end ends a job's outage, if there is one, and returns the count of what was hidden, if anything was. The caller holds mu.
func (o *outages) end(name, why string) *Event {
	j := o.jobs[name]
	if j == nil {
		return nil
	}
	delete(o.jobs, name)
	if j.hidden == 0 {
		return nil
	}
	return &Event{Kind: TicksLost, Name: name, Tick: j.last, Err: &Error{Op: j.op, Name: name, Tick: j.last, Reason: ErrNoQuorum, Detail: why + j.count()}}
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
