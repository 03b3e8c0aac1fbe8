package redlock

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// outages keeps a name that lacks a quorum for many ticks, or for many calls that lock, from flooding the log. It logs when that
// begins, when the first tick is lost, once an hour, and when it ends, with a count. The events in between go to debug level.
//
// A tick counts as lost once a call for it has ended without a quorum. It may still run elsewhere, or here if it is asked for again.
type outages struct {
	open  atomic.Int32 // len(names), read without mu
	mu    sync.Mutex
	names map[string]*outage
	swept time.Time // when forget last ran
}

// outage is the outage of one name.
type outage struct {
	lost   int       // ticks, or calls that lock
	hidden int       // how many of them went to debug level and are not in a logged count yet
	since  time.Time // the first lost tick, or when the first call failed
	last   time.Time // the newest lost tick; zero for a lock
	op     string    // the call that lost it
	logged time.Time // when the outage was last logged
}

// remindEvery is how often an outage that goes on is logged.
const remindEvery = time.Hour

// byQuorum lists the reasons that only a quorum can give.
var byQuorum = []error{ErrTaken, ErrTickDone, ErrTickStale, ErrClockSkew, ErrPaused}

// note takes an event into account. It returns the event as it must be reported, and an event to report before it, or nil.
func (o *outages) note(e Event) (before *Event, _ Event) {
	refusal := refusalOf(e.Err)
	o.mu.Lock()
	defer o.unlock()
	o.forget()
	switch {
	case e.Kind == Acquired, refusal.retry != retryUnknown && slices.Contains(byQuorum, refusal.Reason):
		return o.end(e.Name, "there is a quorum again"), e
	case refusal.Reason == ErrNoQuorum, refusal.Reason == context.DeadlineExceeded && o.names[e.Name] != nil:
		return nil, o.noteNoQuorum(e, refusal)
	}
	return nil, e
}

// unlock updates open and releases mu.
func (o *outages) unlock() {
	o.open.Store(int32(len(o.names)))
	o.mu.Unlock()
}

// forget drops the outages that have nothing left to count and whose next lost tick would be logged anyway. Only an answer for its
// name ends an outage, so that of a name used just once would stay for ever. The caller holds mu.
func (o *outages) forget() {
	if time.Since(o.swept) < remindEvery {
		return
	}
	o.swept = time.Now()
	for name, j := range o.names {
		if j.hidden == 0 && time.Since(j.logged) >= remindEvery {
			delete(o.names, name)
		}
	}
}

// noteNoQuorum notes that a claim or a lock lacks a quorum, and returns the event as it must be reported. The caller holds mu.
func (o *outages) noteNoQuorum(e Event, refusal *Error) Event {
	j := o.names[e.Name]
	begins := j == nil
	if begins {
		j = &outage{logged: time.Now()}
		o.names[e.Name] = j
	}
	if refusal.retry == retrying { // nothing is lost yet
		e.repeated = !begins
		return e
	}
	e.repeated = j.lost > 0 && time.Since(j.logged) < remindEvery
	fresh := e.Tick.IsZero() || e.Tick.After(j.last) // if not, another call has already lost it, as under take-over or in a queue
	if fresh {
		j.since = cmp.Or(j.since, e.Tick, time.Now())
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
		e.Err = fmt.Errorf("%w; %s", e.Err, j.count()) // wrap the error, since the caller may already have it
	}
	j.logged, j.hidden = time.Now(), 0
	return e
}

func (j *outage) count() string {
	what := "ticks were lost"
	if j.last.IsZero() {
		what = "calls failed"
	}
	return fmt.Sprintf("%d %s since %s, %d of them not logged", j.lost, what, j.since.UTC().Format(time.RFC3339), j.hidden)
}

// end ends a name's outage, if there is one. It returns an event with the count if any were hidden, or else nil. The caller holds mu.
func (o *outages) end(name, why string) *Event {
	j := o.names[name]
	if j == nil {
		return nil
	}
	delete(o.names, name)
	if j.hidden == 0 {
		return nil
	}
	return &Event{Kind: OutageEnded, Name: name, Tick: j.last, Err: &Error{Op: j.op, Name: name, Tick: j.last, Reason: ErrNoQuorum, Detail: j.count() + "; " + why}}
}

// endAll ends all outages when the Locker is closed.
func (o *outages) endAll() (events []Event) {
	o.mu.Lock()
	defer o.unlock()
	for name := range o.names {
		if e := o.end(name, "the Locker was closed"); e != nil {
			events = append(events, *e)
		}
	}
	return events
}
