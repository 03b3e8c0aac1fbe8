package redlock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// The outcomes that callers tell apart with [errors.Is]. When the caller's
// context ended, the error matches its ctx.Err() instead.
var (
	// ErrTaken: another owner holds the name, or has the tick.
	ErrTaken = errors.New("redlock: taken by another owner")
	// ErrTickDone: the tick, or a later one, was granted to another owner. This is proven, not guessed.
	ErrTickDone = errors.New("redlock: tick already claimed")
	// ErrTickStale: the tick is older than the retention, so nobody can know any more whether it ran.
	ErrTickStale = errors.New("redlock: tick is older than the retention")
	// ErrClockSkew: the tick lies further ahead of the nodes' clocks than WithMaxSkew allows.
	ErrClockSkew = errors.New("redlock: tick is too far ahead of the nodes' clocks")
	// ErrPaused: an operator paused the job. The error says who, why, and until when.
	ErrPaused = errors.New("redlock: paused")
	// ErrNoQuorum: no majority of the nodes could be had. The error lists each node's cause.
	ErrNoQuorum = errors.New("redlock: no quorum")
	// ErrLost: the lease's validity has ended, or other tokens hold so many nodes that no majority is left.
	ErrLost = errors.New("redlock: lease lost")
	// ErrClosed: the Locker was closed.
	ErrClosed = errors.New("redlock: locker is closed")
	// ErrNodeOut is the error of a node that is skipped because it did not answer its last calls.
	ErrNodeOut = pipeline.ErrOut
	// ErrNodeYoung is the error of a node that the restart guard keeps from voting.
	ErrNodeYoung = protocol.ErrYoung
	// ErrNotLeader is what [Elector.IsLeader] returns except on the leader.
	ErrNotLeader = errors.New("redlock: not the leader")
	// ErrInvalid: an argument or option was refused. The text says the value, the rule and the cure.
	ErrInvalid = errors.New("redlock: invalid")
)

// Error is a failed operation on a name. It matches one of the sentinels above or
// the context's error, and each node's cause, with [errors.Is] and [errors.As].
type Error struct {
	// Op is what was asked for, such as "lock", "trylock", "claim", "extend", "unlock", "adopt" or "holder".
	Op   string
	Name string
	// Tick is the tick of a claim, else the zero time.
	Tick time.Time
	// Reason is the sentinel, or the context's error.
	Reason error
	// Holder is the token that holds the name or has the tick, or "" if no node said; see [HolderOf].
	Holder string
	// Remaining is how long the holder's lock lives without renewal, or for ErrPaused how long the pause lasts; 0 if unknown or endless.
	Remaining time.Duration
	// Nodes are the nodes that gave no vote, each with its cause.
	Nodes []*NodeError
	// RefusedBy are the names of the nodes that voted for another owner.
	RefusedBy []string
	// Detail adds what the sentinel does not say, such as how the votes were split.
	Detail string

	permanent bool // it does not pass by itself
	next      next
}

// next is what follows a refusal.
type next uint8

const (
	unstated   next = iota // no acquisition made the error; it may be an adapter's
	ended                  // the call has ended
	asksOn                 // the call asks again by itself
	standsOpen             // the call has ended, but under take-over its tick is not lost yet
	givenUp                // a call that asked again for a tick was ended by its caller
)

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("redlock: " + e.Op)
	if e.Name != "" { // a check, or a list of all names
		fmt.Fprintf(&b, " %q", e.Name)
	}
	if !e.Tick.IsZero() {
		fmt.Fprintf(&b, " tick %s", e.Tick.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	fmt.Fprintf(&b, ": %s", strings.TrimPrefix(e.Reason.Error(), "redlock: "))
	if e.Holder != "" {
		fmt.Fprintf(&b, " (%s)", protocol.Clip(e.Holder))
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, ": %s", e.Detail)
	}
	for _, n := range e.Nodes {
		b.WriteString("; " + n.Error())
	}
	return b.String()
}

// Unwrap lists the reason and the nodes' causes.
func (e *Error) Unwrap() []error {
	all := make([]error, 0, 1+len(e.Nodes))
	all = append(all, e.Reason)
	for _, n := range e.Nodes {
		all = append(all, n)
	}
	return all
}

// NodeError is why one node gave no vote.
type NodeError struct {
	// Node is the node's name; see [driver.Node].
	Node string
	Err  error
}

func (e *NodeError) Error() string {
	return e.Node + ": " + protocol.Clip(strings.TrimPrefix(e.Err.Error(), "redlock: "))
}

// Unwrap returns the cause.
func (e *NodeError) Unwrap() error { return e.Err }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// refuse returns the error of a refusal, and reports it to the observer unless that would repeat the last report.
func (t *target) refuse(a *acquisition, tally *quorum.Tally, reason error) error {
	err := t.fail(a.op, a.tick, tally, reason)
	err.next = t.whatNext(a, err)
	last := a.reported
	switch {
	case err.next == asksOn && a.tick != 0 && time.Since(a.asked) < t.minLateness(),
		last != nil && last.Reason == reason && last.next == err.next:
		return err
	case err.next == asksOn && !a.waits:
		a.refusal = err
	case a.refusal != nil && reason == ErrNoQuorum:
		err.Detail += fmt.Sprintf("; asked again for %v", time.Since(a.begin).Round(time.Millisecond))
	}
	a.reported = err
	t.locker.Report(Event{Kind: Refused, Name: err.Name, Tick: err.Tick, Token: a.token, Holder: err.Holder, Duration: time.Since(a.begin), Err: err})
	return err
}

// whatNext returns what follows a refusal.
func (t *target) whatNext(a *acquisition, err *Error) next {
	switch {
	case err.lacksQuorum() && (a.waits || a.tick != 0 && !over(time.Now(), t.askUntil(a))):
		return asksOn
	case err.lacksQuorum() && !a.at.IsZero() && t.cfg.takeover: // not an adoption, whose tick nobody asks for again
		return standsOpen
	case a.givesUp() && isOwnEnd(err.Reason):
		return givenUp
	}
	return ended
}

// givesUp reports whether a call that ends now gives up a tick of which it was reported that it is asked for again.
func (a *acquisition) givesUp() bool {
	return a.tick != 0 && a.reported != nil && a.reported.next == asksOn
}

// isOwnEnd reports whether the caller, or Close, ended a call, so that its error says nothing about the nodes.
func isOwnEnd(reason error) bool {
	return reason == context.Canceled || reason == context.DeadlineExceeded || reason == ErrClosed
}

// refusalOf returns the Error within err, or an empty one.
func refusalOf(err error) *Error {
	if refusal, ok := errors.AsType[*Error](err); ok {
		return refusal
	}
	return new(Error)
}

// lacksQuorum reports whether only a lack of quorum that may pass stood in the way.
func (e *Error) lacksQuorum() bool { return e.Reason == ErrNoQuorum && !e.permanent }

// fail returns the error of a call. The tally is nil if no node was asked.
func (t *target) fail(op string, tick int64, tally *quorum.Tally, reason error) *Error {
	e := &Error{Op: op, Name: t.name.Lock, Tick: protocol.Instant(tick), Reason: reason}
	if tally == nil {
		return e
	}
	if leader, ok := tally.Leader(); ok {
		e.Holder, e.Remaining = leader.Token, leader.Remaining
	}
	for i, a := range tally.Answers {
		switch {
		case a.Verdict == quorum.Done && a.Token != "":
			e.Holder, e.Remaining = a.Token, 0
		case a.Verdict == quorum.Refused:
			e.RefusedBy = append(e.RefusedBy, t.locker.group.Pipelines[i].Name())
			if a.Lasting && e.Holder == "" {
				e.Holder = a.Token
			}
		}
	}
	switch reason {
	case ErrPaused:
		e.Detail, e.Remaining = describePause(tally)
		return e
	case ErrTaken:
		if e.permanent = tally.Blocks(tally.Lasting()); e.permanent && e.Holder != protocol.Foreign {
			e.Detail = "its key never expires; delete it if nobody relies on it"
		}
		return e
	case ErrTickDone:
		return e
	case ErrTickStale:
		e.Detail = fmt.Sprintf("ticks are remembered for %v", t.cfg.retention)
	case ErrClockSkew:
		e.Detail = fmt.Sprintf("at most %v is allowed; check this machine's clock", t.cfg.maxSkew)
	case ErrNoQuorum:
		e.Detail, e.permanent = tally.String(), tally.Blocks(failures(tally, isPermanent))
	}
	e.Nodes = t.nodeErrors(tally, reason)
	return e
}

// nodeErrors returns why nodes gave no vote.
func (t *target) nodeErrors(tally *quorum.Tally, reason error) (errs []*NodeError) {
	for i, a := range tally.Answers {
		name := t.locker.group.Pipelines[i].Name()
		switch {
		case a.Verdict == quorum.Paused:
			errs = append(errs, &NodeError{Node: name, Err: errPausedHere})
		case a.Verdict == quorum.Failed:
			errs = append(errs, &NodeError{Node: name, Err: a.Err})
		case a.Verdict == quorum.Pending && !tally.Certain(): // once certain, its answer no longer mattered
			errs = append(errs, &NodeError{Node: name, Err: t.errNoAnswer(reason)})
		}
	}
	return errs
}

// errNoAnswer is the error of a node that did not answer. A call that ended early, for a reason of its caller's, gave it no time.
func (t *target) errNoAnswer(reason error) error {
	if isOwnEnd(reason) {
		return errors.New("no answer before the call ended")
	}
	return fmt.Errorf("no answer within the node timeout of %v", t.cfg.nodeTimeout)
}

// errPausedHere is the error of a node with a pause that too few nodes have. The job is not paused, so it is not ErrPaused.
var errPausedHere = errors.New("the job is paused here, but not on a majority of the nodes; repeat redtick pause or redtick resume")

// describePause returns who paused the job, for how long and why. If nodes differ, the longest pause counts.
func describePause(tally *quorum.Tally) (text string, remaining time.Duration) {
	var longest quorum.Answer
	for _, a := range tally.Answers {
		if a.Verdict == quorum.Paused && (longest.Verdict != quorum.Paused || a.Lasting || a.Remaining > longest.Remaining && !longest.Lasting) {
			longest = a
		}
	}
	by, why := protocol.DecodePause(longest.Token)
	if text = "until it is resumed"; !longest.Lasting {
		text = fmt.Sprintf("for another %v, until %s", longest.Remaining.Round(time.Millisecond), time.Now().Add(longest.Remaining).UTC().Format(time.RFC3339))
	}
	return protocol.PauseText(text, by, why), longest.Remaining
}
