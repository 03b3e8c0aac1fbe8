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
	// NodeOut: a node did not answer its last calls, or refused them; see Event.Err. NodeBack: it votes again.
	NodeOut  EventKind = "node_out"
	NodeBack EventKind = "node_back"
	// Triggered: this replica heard an operator's request for a run; see [Job.OnTrigger].
	Triggered EventKind = "triggered"
	// TriggersUnheard: this replica has no subscription to a node's triggers, and hears none from it until it has one.
	TriggersUnheard EventKind = "triggers_unheard"
	// NoticesUnheard: a node that is not out refuses the subscription to its release notices. A waiting Lock uses those of
	// another node, or polls.
	NoticesUnheard EventKind = "notices_unheard"
	// Ended: the run of a claim ended; Event.Result says how. Under WithHistory(0) it is reported only if the result was stated
	// or the lease was lost.
	Ended EventKind = "ended"
	// OutageEnded: an outage that cost a job ticks, or made calls for a lock fail, is over, or the Locker was closed. Event.Err
	// says how many. It is reported only if some of their refusals went to debug level; see [Log].
	OutageEnded EventKind = "outage_ended"
)

// Event is one thing that happened. Fields that do not apply are zero.
type Event struct {
	Kind EventKind
	At   time.Time
	Name string
	// Tick is the tick of a claim.
	Tick time.Time
	// Token is our own token, for Refused the latest round's; [HolderOf] makes it readable.
	Token string
	// Holder is the token that held the name or had the tick.
	Holder string
	// By says, for Triggered, who asked for the run.
	By string
	// Node is the node's name for NodeOut, NodeBack, TriggersUnheard and NoticesUnheard.
	Node string
	// Duration is how long the operation took, including its wait but not the delays of [WithSpread] and [WithHandicap]. For
	// Released, Lost and Ended it is how long the lease was held.
	Duration time.Duration
	// Result is, for Ended, the result of the run: "ok", "failed", "panicked", "lost", "abandoned", or "ended" if none was
	// stated; see [Lease.SetResult].
	Result string
	// Err is the reason of a refusal, loss or failure, with each node's cause. For Ended it is the run's error. For Acquired
	// it is why the claim was refused at first, if [WithLateness] made it ask again.
	Err error
	// Missed is how many events before this one were dropped, because the observer was
	// too slow.
	Missed int

	repeated bool // it goes to debug level: the log has heard of the outage, and a count will follow
}

// Observer is called with events, one at a time and in order, on a goroutine of
// its own, so that a slow or panicking observer cannot hurt a lease. While it is
// 1024 events behind, new ones are dropped; [Event.Missed] counts them. A panic is
// recovered and written to [slog.Default]. [Locker.Close] waits for the observer
// for up to a second.
type Observer func(Event)

// Report passes an event to the Locker's observer. It is for adapters, so that their
// refusals reach the same log. It does not block, and is safe for concurrent use.
func (l *Locker) Report(e Event) {
	if (e.Kind == Refused || e.Kind == Acquired) && (l.outages.open.Load() > 0 || errors.Is(e.Err, ErrNoQuorum)) {
		var before *Event
		if before, e = l.outages.note(e); before != nil {
			l.queueEvent(*before)
		}
	}
	l.queueEvent(e)
}

// queueEvent queues an event for the observer, unless the observer ignores events of its level.
func (l *Locker) queueEvent(e Event) {
	if l.cfg.minLevel == math.MinInt || e.Level() >= l.cfg.minLevel {
		e.At = time.Now()
		l.events.Push(e)
	}
}

// observe calls the observer. It logs a panic with the event, which the observer may have lost.
func (l *Locker) observe(e Event, missed int) {
	e.Missed = missed
	defer func() { _ = recover() }() // the logger may panic, too
	defer func() {
		if v := recover(); v != nil {
			slog.Error("redtick: the observer panicked", "panic", v, "event", string(e.Kind), "name", e.Name, "stack", string(debug.Stack()))
		}
	}()
	l.cfg.observer(e)
}
