package redlock

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The outcomes that callers tell apart with [errors.Is]. When the caller's
// context ended, the error matches its ctx.Err() instead.
var (
	// ErrTaken: another owner holds the name, or is ahead on the tick.
	ErrTaken = errors.New("redlock: taken by another owner")
	// ErrTickDone: the tick was granted to another owner. This is proven, not guessed.
	ErrTickDone = errors.New("redlock: tick already claimed")
	// ErrTickStale: the tick is older than the retention, so nobody can know any more whether it ran.
	ErrTickStale = errors.New("redlock: tick is older than the retention")
	// ErrClockSkew: the tick lies further ahead of the nodes' clocks than WithMaxSkew allows.
	ErrClockSkew = errors.New("redlock: tick is too far ahead of the nodes' clocks")
	// ErrNoQuorum: no majority of the nodes could be had. The error lists each node's cause.
	ErrNoQuorum = errors.New("redlock: no quorum")
	// ErrLost: the lease's validity has ended, or a majority holds another token.
	ErrLost = errors.New("redlock: lease lost")
	// ErrClosed: the Locker was closed.
	ErrClosed = errors.New("redlock: locker is closed")
	// ErrNodeOut is the cause for a node that is skipped because it did not answer its last calls.
	ErrNodeOut = errors.New("redlock: node is out: it did not answer, and is probed now and then")
	// ErrNodeYoung is the cause for a node that the restart guard keeps from voting.
	ErrNodeYoung = errors.New("redlock: node abstains: it restarted or lost its data and may have forgotten votes")
	// ErrNotLeader is what [Elector.IsLeader] answers on everyone but the leader.
	ErrNotLeader = errors.New("redlock: not the leader")
	// ErrInvalid: an argument or option was refused. The text has the value, the rule and the cure.
	ErrInvalid = errors.New("redlock: invalid")
)

var (
	errNoAnswer  = errors.New("no answer within the node timeout")
	errLostVote  = errors.New("the vote of this round was lost again; the next round has a fresh token")
	errDeadToken = errors.New("this round's token was given back before the vote arrived")
)

// Error is how an operation on a name failed. It matches one of the sentinels
// above, and each node's cause, with [errors.Is] and [errors.As].
type Error struct {
	// Op is what was asked for, such as "lock", "trylock", "claim", "extend", "unlock", "adopt" or "holder".
	Op   string
	Name string
	// Tick is the tick of a claim, else the zero time.
	Tick time.Time
	// Reason is the sentinel, or the context's error.
	Reason error
	// Holder is the token of whoever is ahead or has claimed the tick, as far as a node told; see [HolderOf].
	Holder string
	// Remaining is how long the holder's lock lives without renewal, or 0 when unknown.
	Remaining time.Duration
	// Nodes are the causes of the nodes that gave no vote.
	Nodes []*NodeError
	// Detail adds what the sentinel does not say, such as how the votes were split.
	Detail string

	token string // the last round's own
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "redlock: %s %q", e.Op, e.Name)
	if !e.Tick.IsZero() {
		fmt.Fprintf(&b, " tick %s", e.Tick.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	fmt.Fprintf(&b, ": %s", strings.TrimPrefix(e.Reason.Error(), "redlock: "))
	if e.Holder != "" {
		fmt.Fprintf(&b, " (%s)", clip(e.Holder))
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
	// Node is the node's name; see [Node].
	Node string
	Err  error
}

func (e *NodeError) Error() string {
	return e.Node + ": " + clip(strings.TrimPrefix(e.Err.Error(), "redlock: "))
}

// Unwrap returns the cause.
func (e *NodeError) Unwrap() error { return e.Err }

// clip makes what a server said fit for one line of a log: it may be somebody's data, of any size.
func clip(s string) string {
	const most = 300
	short := s[:min(len(s), most)]
	if strings.ContainsFunc(short, unicode.IsControl) || !utf8.ValidString(short) {
		short = strconv.Quote(short)
	}
	if len(s) > most {
		short += fmt.Sprintf("… (%d bytes)", len(s))
	}
	return short
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}
