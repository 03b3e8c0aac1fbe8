package redlock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// The outcomes of an operation, to be told apart with [errors.Is]. If the caller's
// context ended, the error matches its ctx.Err() instead.
var (
	// ErrTaken: another owner holds the name, or has the tick.
	ErrTaken = errors.New("redlock: taken by another owner")
	// ErrTickDone: the tick, a later one, or one that is nearer than WithSpacing allows was certainly granted to another owner.
	ErrTickDone = errors.New("redlock: tick already claimed")
	// ErrTickStale: the tick is older than the retention, so the nodes no longer know whether it ran.
	ErrTickStale = errors.New("redlock: tick is older than the retention")
	// ErrClockSkew: the tick lies further ahead of the nodes' clocks than WithMaxSkew allows.
	ErrClockSkew = errors.New("redlock: tick is too far ahead of the nodes' clocks")
	// ErrPaused: an operator paused the job. The error says who, why, and until when.
	ErrPaused = errors.New("redlock: paused")
	// ErrNoQuorum: no majority of the nodes answered, or the vote stayed split. The error lists each node's cause.
	ErrNoQuorum = errors.New("redlock: no quorum")
	// ErrLost: the lease's validity has ended, or too many nodes hold other tokens for a majority to be left.
	ErrLost = errors.New("redlock: lease lost")
	// ErrClosed: the Locker was closed.
	ErrClosed = errors.New("redlock: locker is closed")
	// ErrNodeOut: a node is skipped because it did not answer its last calls.
	ErrNodeOut = pipeline.ErrOut
	// ErrNodeYoung: a node abstains because of the restart guard.
	ErrNodeYoung = protocol.ErrYoung
	// ErrNotLeader: this process is not the leader; see [Elector.IsLeader].
	ErrNotLeader = errors.New("redlock: not the leader")
	// ErrInvalid: an argument or option was refused. The text has the value, the rule and the cure.
	ErrInvalid = errors.New("redlock: invalid")
)

// Error describes a failed operation on a name. With [errors.Is] and [errors.As] it
// matches one of the sentinels above or the context's error, and each node's cause.
type Error struct {
	// Op is the operation, such as "lock", "trylock", "claim", "extend", "unlock", "adopt" or "holder".
	Op   string
	Name string
	// Tick is the tick of a claim, else the zero time.
	Tick time.Time
	// Reason is the sentinel, or the context's error.
	Reason error
	// Holder is the token that holds the name or has the tick, or "" if unknown; see [HolderOf].
	Holder string
	// Remaining is how long the holder's lock lives without renewal, or for ErrPaused how long the pause lasts. It is 0 if that is
	// unknown or without end.
	Remaining time.Duration
	// Nodes lists the nodes that gave no vote, each with its cause.
	Nodes []*NodeError
	// RefusedBy lists the names of the nodes that voted for another owner.
	RefusedBy []string
	// Detail adds what the sentinel does not say, such as how the votes split.
	Detail string

	permanent bool // it cannot go away by itself
	retry     retry
}

// retry says whether a refused call asks again.
type retry uint8

const (
	retryUnknown retry = iota // the error is not from an acquisition; it may be an adapter's
	noRetry                   // the call has ended
	retrying                  // the call asks again by itself
	retryOpen                 // the call has ended, but under take-over its tick may be asked for again
	retryEnded                // the caller ended a call that was asking again for a tick
)

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("redlock: " + e.Op)
	if e.Name != "" { // empty for a check, and for a list of all names
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

// NodeError says why one node gave no vote.
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

// refuse returns the error of a refusal. It reports the error to the observer, unless the call asks again and that would be too
// early or a repetition.
func (t *target) refuse(a *acquisition, tally *quorum.Tally, reason error) error {
	err := t.fail(a.op, a.tick, tally, reason)
	err.retry = t.retryAfter(a, err)
	last := a.reported
	switch {
	case err.retry == retrying && a.tick != 0 && time.Since(a.asked) < t.minLateness(),
		last != nil && last.Reason == reason && last.retry == err.retry:
		return err
	case err.retry == retrying && !a.waits:
		a.firstRefusal = err
	case a.firstRefusal != nil && reason == ErrNoQuorum:
		err.Detail += fmt.Sprintf("; asked again for %v", time.Since(a.begin).Round(time.Millisecond))
	}
	a.reported = err
	t.locker.Report(Event{Kind: Refused, Name: err.Name, Tick: err.Tick, Token: a.token, Holder: err.Holder, Duration: time.Since(a.begin), Err: err})
	return err
}

// retryAfter returns whether a refused call asks again.
func (t *target) retryAfter(a *acquisition, err *Error) retry {
	switch {
	case err.lacksQuorum() && (a.waits || a.tick != 0 && !over(time.Now(), t.askUntil(a))):
		return retrying
	case err.lacksQuorum() && !a.at.IsZero() && t.cfg.takeover: // not after an adoption, whose tick is not asked for again
		return retryOpen
	case a.reportedRetry() && endedByCaller(err.Reason):
		return retryEnded
	}
	return noRetry
}

// reportedRetry reports whether the observer was last told that the call asks again for its tick.
func (a *acquisition) reportedRetry() bool {
	return a.tick != 0 && a.reported != nil && a.reported.retry == retrying
}

// endedByCaller reports whether the caller, or Close, ended a call, so that its error says nothing about the nodes.
func endedByCaller(reason error) bool {
	return reason == context.Canceled || reason == context.DeadlineExceeded || reason == ErrClosed
}

// refusalOf returns the Error in err's tree, or an empty one.
func refusalOf(err error) *Error {
	if refusal, ok := errors.AsType[*Error](err); ok {
		return refusal
	}
	return new(Error)
}

// whileWaiting returns the error of a call that its caller ended, with the reason why it still waited. The first Error of the two, which
// errors.As finds, says who was in the way. It is a copy, since the observer may have the original.
func whileWaiting(ended, reason error) error {
	e, last := *refusalOf(ended), refusalOf(reason)
	if e.Holder == "" {
		e.Holder, e.Remaining, e.RefusedBy = last.Holder, last.Remaining, last.RefusedBy
	}
	return errors.Join(&e, reason)
}

// lacksQuorum reports whether only a quorum was missing, and may be there later.
func (e *Error) lacksQuorum() bool { return e.Reason == ErrNoQuorum && !e.permanent }

// fail returns the error of a failed call. The tally is nil if no node was asked.
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
		e.Detail = fmt.Sprintf("ticks are remembered for %v; check this machine's clock", t.cfg.retention)
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
		err := a.Err
		switch {
		case a.Verdict == quorum.Paused:
			err = errPausedHere
		case timedOut(err):
			err = fmt.Errorf("%w: %w", t.errNoAnswer(nil), err)
		case err == nil && a.Verdict == quorum.Pending && !tally.Certain(): // else its answer no longer mattered
			err = t.errNoAnswer(reason)
		}
		if err != nil {
			errs = append(errs, &NodeError{Node: t.locker.group.Pipelines[i].Name(), Err: err})
		}
	}
	return errs
}

// timedOut reports whether a driver's error is that of a time-out, which may not say how long it waited.
func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() && !errors.Is(err, pipeline.ErrOut)
}

// errNoAnswer returns the error of a node that did not answer. If the caller ended the call early, the node had too little time.
func (t *target) errNoAnswer(reason error) error {
	if endedByCaller(reason) {
		return errors.New("no answer before the call ended")
	}
	return fmt.Errorf("no answer within the node timeout of %v (WithNodeTimeout)", t.cfg.nodeTimeout)
}

// errPausedHere is the error of a node with a pause that no majority has. The job is not paused then, so it is not ErrPaused.
var errPausedHere = errors.New("the job is paused here, but not on a majority of the nodes; repeat redtick pause or redtick resume")

// describePause says who paused the job, for how long and why. If nodes differ, the longest pause counts.
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
