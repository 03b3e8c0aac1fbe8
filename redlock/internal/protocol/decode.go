package protocol

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// ErrYoung is the error of a node that the restart guard keeps from voting.
var ErrYoung = errors.New("redlock: node abstains: it restarted or lost its data and may have forgotten votes")

var (
	errLostVote  = errors.New("the vote of this round was lost again; the next round has a fresh token")
	errDeadToken = errors.New("this round's token was aborted before the vote arrived")
)

// maxFence is where the scripts' numbers, which are doubles, are no longer exact to one. Microseconds get there in the year
// 2255.
const maxFence = 1 << 53

// decodeSet decodes the reply to SET NX GET: null if the key was free, else the holder's token. Our own token means that the
// driver resent a command that had been executed.
func decodeSet(token string) func(driver.Reply) quorum.Answer {
	return func(r driver.Reply) quorum.Answer {
		if a, failed := decodeFailure(r); failed {
			return a
		}
		holder, isString := r.Value.(string)
		switch {
		case r.Value == nil || holder == token:
			return quorum.Answer{Verdict: quorum.Granted}
		case !isString:
			return unexpected(r)
		}
		return quorum.Answer{Verdict: quorum.Refused, Token: holder}
	}
}

// decodeVote decodes the reply of a script that votes.
func decodeVote(r driver.Reply) quorum.Answer {
	if a, failed := decodeFailure(r); failed {
		return a
	}
	fields, _ := r.Value.([]any)
	switch Text(fields, 0) {
	case "GRANTED":
		fence := Number(fields, 1)
		if fence < 0 || fence >= maxFence {
			return unexpected(r)
		}
		return quorum.Answer{Verdict: quorum.Granted, Fence: fence, Remaining: Lifetime(Number(fields, 2))}
	case "VACANT":
		return quorum.Answer{Verdict: quorum.Granted}
	case "SEEN", "TAKEN":
		return quorum.Answer{Verdict: quorum.Refused, Token: Text(fields, 1), Remaining: Lifetime(Number(fields, 2)),
			Lasting: Number(fields, 2) == -1 && Text(fields, 1) != ""}
	case "DONE":
		return quorum.Answer{Verdict: quorum.Done, Token: Text(fields, 1)}
	case "STALE":
		return quorum.Answer{Verdict: quorum.Stale}
	case "AHEAD":
		return quorum.Answer{Verdict: quorum.TooFarAhead}
	case "PAUSED":
		return quorum.Answer{Verdict: quorum.Paused, Token: Text(fields, 1), Remaining: Lifetime(Number(fields, 2)), Lasting: Number(fields, 2) == -1}
	case "LOST":
		return quorum.Answer{Verdict: quorum.Failed, Err: errLostVote}
	case "DEAD":
		return quorum.Answer{Verdict: quorum.Failed, Err: errDeadToken}
	case "YOUNG":
		return young(fields)
	}
	return unexpected(r)
}

// decodeFenced is decodeVote, but a grant without a fence counts as a failure.
func decodeFenced(r driver.Reply) quorum.Answer {
	a := decodeVote(r)
	if a.Verdict == quorum.Granted && a.Fence == 0 {
		return unexpected(r)
	}
	return a
}

// vacant turns the grant of a dry run into Vacant, since nothing was granted.
func vacant(decode func(driver.Reply) quorum.Answer) func(driver.Reply) quorum.Answer {
	return func(r driver.Reply) quorum.Answer {
		a := decode(r)
		if a.Verdict == quorum.Granted {
			a.Verdict = quorum.Vacant
		}
		return a
	}
}

func young(fields []any) quorum.Answer {
	return quorum.Answer{Verdict: quorum.Failed, Err: fmt.Errorf("%w; it votes again in %v (a fresh fleet is started with redtick bootstrap, or Inspector.Bootstrap)",
		ErrYoung, time.Duration(Number(fields, 1))*time.Millisecond)}
}

// decodeCount decodes the reply of a script that answers 1 for ours and 0 for not ours.
func decodeCount(r driver.Reply) quorum.Answer {
	if a, failed := decodeFailure(r); failed {
		return a
	}
	switch count, isCount := r.Value.(int64); {
	case isCount && count == 1:
		return quorum.Answer{Verdict: quorum.Granted}
	case isCount && count == 0:
		return quorum.Answer{Verdict: quorum.Refused}
	}
	return unexpected(r)
}

// DecodeRelease decodes the reply to a release. It calls woke if a waiter was woken.
func DecodeRelease(woke func()) func(driver.Reply) quorum.Answer {
	return func(r driver.Reply) quorum.Answer {
		if count, _ := r.Value.(int64); r.Err == nil && count == 2 {
			woke()
			return quorum.Answer{Verdict: quorum.Granted}
		}
		return decodeCount(r)
	}
}

var decodeRelease = DecodeRelease(func() {})

// decodeExtend is decodeCount for a script that may also abstain.
func decodeExtend(r driver.Reply) quorum.Answer {
	if fields, _ := r.Value.([]any); r.Err == nil && Text(fields, 0) == "YOUNG" {
		return young(fields)
	}
	return decodeCount(r)
}

// decodeAny takes any answer for an acknowledgement.
func decodeAny(r driver.Reply) quorum.Answer {
	if a, failed := decodeFailure(r); failed {
		return a
	}
	return quorum.Answer{Verdict: quorum.Granted}
}

func decodeLast(r driver.Reply) quorum.Answer {
	if a, failed := decodeFailure(r); failed {
		return a
	}
	last, isString := r.Value.(string)
	if r.Value != nil && !isString {
		return unexpected(r)
	}
	n, _ := strconv.ParseInt(last, 10, 64)
	return quorum.Answer{Verdict: quorum.Granted, Last: n}
}

func decodePlace(r driver.Reply) quorum.Answer {
	if a, failed := decodeFailure(r); failed {
		return a
	}
	fields, _ := r.Value.([]any)
	if len(fields) != 2 {
		return unexpected(r)
	}
	return quorum.Answer{Verdict: quorum.Granted, Remaining: Lifetime(Number(fields, 0)), Token: Text(fields, 1)}
}

func decodeBootstrap(r driver.Reply) quorum.Answer {
	failure := func(err error) quorum.Answer { return quorum.Answer{Verdict: quorum.Failed, Err: err} }
	if pipeline.IsWrongType(r.Err) {
		return failure(fmt.Errorf("the key %q holds data of another type; delete it", GuardKey))
	}
	if a, failed := decodeFailure(r); failed {
		return a
	}
	fields, _ := r.Value.([]any)
	if policy := Text(fields, 0); policy != "noeviction" {
		return failure(fmt.Errorf("maxmemory-policy is %q, must be noeviction: an evicted key is a forgotten vote", policy))
	}
	if Text(fields, 2) == "0" {
		return failure(errors.New("it was declared fresh before, and votes"))
	}
	if age := Number(fields, 1); age >= 0 {
		return failure(fmt.Errorf("%w; it is not fresh, its memory is %v old", ErrYoung, time.Duration(age)*time.Millisecond))
	}
	return quorum.Answer{Verdict: quorum.Granted}
}

// Foreign stands for the token where a key of a name, or the guard's, holds data of another type.
const Foreign = "data that is not a lock, in the key of this name, one of its companions or " + GuardKey + "; delete it, or choose another name"

// decodeFailure decodes an error reply. A key of another type is somebody's data. It counts as a refusal, since it takes the
// name as surely as a lock does.
func decodeFailure(r driver.Reply) (quorum.Answer, bool) {
	switch {
	case r.Err == nil:
		return quorum.Answer{}, false
	case pipeline.IsWrongType(r.Err):
		return quorum.Answer{Verdict: quorum.Refused, Lasting: true, Token: Foreign}, true
	}
	return quorum.Answer{Verdict: quorum.Failed, Err: WithCure(r.Err)}, true
}

// cures are for errors that do not pass by themselves. An error begins with its code. One that a script ran into has the
// reason further within, in other words in Redis 6, in 7.0 and later.
var cures = []struct {
	code, within, cure string
}{
	{"NOPERM", "", aclCure},
	{"ERR", "The user executing the script ", aclCure},
	{"ERR", "ACL failure in script: ", aclCure},
	{"NOAUTH", "", "set the client's password"},
	{"WRONGPASS", "", "set the client's user name and password"},
	{"MOVED", "", "this address is a member of a Redis Cluster, use a Cluster client"},
	{"ERR unknown command", "", "the server is older than Redis 5.0 or forbids the command"},
	{"ERR", "Unknown Redis command called from ", "the server is older than Redis 5.0 or forbids the command"},
	{"ERR syntax error", "", "the server is older than Redis 5.0"},
	{"ERR", ": attempt to ", "a companion key of this name holds what is not a number; delete its keys that end in :last and :fence"},
}

const aclCure = "allow the user what SECURITY.md lists, such as: ACL SETUSER name ~prefix:* &redtick:wake:* +@read +@write +@scripting +@pubsub +ping"

// PermanentError is a server's error that does not pass by itself.
type PermanentError struct {
	Cause error
	cure  string
}

func (e *PermanentError) Error() string { return e.Cause.Error() + " (" + e.cure + ")" }

// Unwrap returns the server's error.
func (e *PermanentError) Unwrap() error { return e.Cause }

// WithCure adds the cure to a server's error, if it does not pass by itself.
func WithCure(err error) error {
	for _, c := range cures {
		if text := err.Error(); strings.HasPrefix(text, c.code) && strings.Contains(text, c.within) {
			return &PermanentError{Cause: err, cure: c.cure}
		}
	}
	return err
}

// Lifetime converts a PTTL. It is 0 for a key that is gone or never expires, and limited to what a duration holds.
func Lifetime(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
}

func unexpected(r driver.Reply) quorum.Answer {
	return quorum.Answer{Verdict: quorum.Failed, Err: Unexpected(r)}
}

// Unexpected returns the error for a reply that no script gives.
func Unexpected(r driver.Reply) error {
	return fmt.Errorf("unexpected reply %s (%T); is this address a Redis server?", Clip(fmt.Sprint(r.Value)), r.Value)
}

// Text returns a field of a reply that is text, else "".
func Text(fields []any, i int) string {
	if i < len(fields) {
		s, _ := fields[i].(string)
		return s
	}
	return ""
}

// Number returns a field of a reply that is an integer, or text that spells one, else 0.
func Number(fields []any, i int) int64 {
	if i < len(fields) {
		if n, ok := fields[i].(int64); ok {
			return n
		}
	}
	text := Text(fields, i)
	if text == "" {
		return 0 // avoids allocating the parse error: a grant has fewer fields than a refusal
	}
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// Clip makes a server's text fit for one line of a log. The text may be somebody's data, of any size.
func Clip(s string) string {
	const most = 300
	short := Cut(s, most)
	if strings.ContainsFunc(short, unicode.IsControl) || !utf8.ValidString(short) {
		short = strconv.Quote(short)
	}
	if len(s) > most {
		short += fmt.Sprintf("… (%d bytes)", len(s))
	}
	return short
}

// Cut shortens a text to at most so many bytes, without splitting a character.
func Cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for end := most; end > most-utf8.UTFMax; end-- {
		if utf8.RuneStart(text[end]) {
			return text[:end]
		}
	}
	return text[:most] // no UTF-8
}
