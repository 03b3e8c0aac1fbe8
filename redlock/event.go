package redlock

import (
	"errors"
	"log/slog"
	"math"
	"runtime/debug"
	"time"
)

// EventKind says what an [Event] is about.
type EventKind string

// The kinds of events. A refusal's reason is in Event.Err.
const (
	Acquired    EventKind = "acquired"
	Refused     EventKind = "refused"
	Renewed     EventKind = "renewed"
	RenewFailed EventKind = "renew_failed"
	Lost        EventKind = "lost"
	Released    EventKind = "released"
	Elected     EventKind = "elected"
	SteppedDown EventKind = "stepped_down"
	// NodeOut: a node has not answered its last calls, or has refused them; see Event.Err. NodeBack: it votes again.
	NodeOut  EventKind = "node_out"
	NodeBack EventKind = "node_back"
	// Triggered: an operator asked for a run, and every replica that listens has heard it; see [Job.OnTrigger].
	Triggered EventKind = "triggered"
	// TriggersUnheard: a node's triggers are not heard until its subscription is active again.
	TriggersUnheard EventKind = "triggers_unheard"
	// Ended: the run of a claim ended; Event.Result says how. Under WithHistory(0) only if it was stated or the lease was lost.
	Ended EventKind = "ended"
	// TicksLost: an outage in which ticks of a job were lost is over, or the Locker is closed. Event.Err has their number. It
	// is reported only if some of their refusals went to debug level; see [Log].
	TicksLost EventKind = "ticks_lost"
)

// Event is one thing that happened. Fields that do not apply are zero.
type Event struct {
	Kind EventKind
	At   time.Time
	Name string
	// Tick is the tick of a claim.
	Tick time.Time
	// Token is our own, for Refused that of the latest round; [HolderOf] makes it readable.
	Token string
	// Holder is the token that held the name or had the tick.
	Holder string
	// By is who asked for the run, for Triggered.
	By string
	// Node is the node's name for NodeOut, NodeBack and TriggersUnheard.
	Node string
	// Duration is how long the operation took, with its waiting but without [WithSpread]; for Released, Lost and Ended, how long
	// the lease was held.
	Duration time.Duration
	// Result is what came of a run, for Ended: "ok", "failed", "panicked", "lost", "abandoned", or "ended" when nobody
	// stated it; see [Lease.SetResult].
	Result string
	// Err is the reason of a refusal, loss or failure, with each node's cause. For Ended it is the run's error. For Acquired
	// it is why the claim was refused at first, if [WithLateness] made it ask again.
	Err error
	// Missed is how many events before this one were thrown away, because the
	// observer was too slow.
	Missed int

	repeated bool // it goes to debug level, since the outage was logged and a count will be
}

// Observer is called with events, one at a time and in order, on a goroutine of
// its own, so that a slow or panicking observer cannot hurt a lease. When it is
// 1024 events behind, new ones are thrown away, and the next event says how many.
// A panic is recovered and written to [slog.Default]. [Locker.Close] waits for the
// observer for up to a second.
type Observer func(Event)

// Report hands an event to the Locker's observer. It is for adapters, whose
// refusals belong in the same log.
func (l *Locker) Report(e Event) {
	if (e.Kind == Refused || e.Kind == Acquired) && (l.outages.open.Load() > 0 || errors.Is(e.Err, ErrNoQuorum)) {
		var before *Event
		if before, e = l.outages.note(e); before != nil {
			l.queueEvent(*before)
		}
	}
	l.queueEvent(e)
}

// queueEvent queues an event for the observer, unless its level is too low for that one.
func (l *Locker) queueEvent(e Event) {
	if l.cfg.least == math.MinInt || e.Level() >= l.cfg.least {
		e.At = time.Now()
		l.events.Push(e)
	}
}

// observe calls the observer, whose panic must reach somebody, since the event may not have.
func (l *Locker) observe(e Event, missed int) {
	e.Missed = missed
	defer func() { _ = recover() }() // of the logger
	defer func() {
		if v := recover(); v != nil {
			slog.Error("redtick: the observer panicked", "panic", v, "event", string(e.Kind), "name", e.Name, "stack", string(debug.Stack()))
		}
	}()
	l.cfg.observer(e)
}
