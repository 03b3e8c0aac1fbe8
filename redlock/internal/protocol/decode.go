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
	errLostVote  = errors.New("this round's vote was granted here, but its lock is gone; the next round has a fresh token")
	errDeadToken = errors.New("this round's token was aborted before the vote arrived")
)

// maxFence is where the scripts' numbers, which are doubles, stop being exact integers. Unix microseconds reach it in the
// year 2255.
const maxFence = 1 << 53

// decoder makes a decoder of replies from a decoder of values. All decode errors alike.
func decoder(decode func(value any) (a quorum.Answer, known bool)) func(driver.Reply) quorum.Answer {
	return func(r driver.Reply) quorum.Answer {
		if r.Err != nil {
			return decodeError(r.Err)
		}
		if a, known := decode(r.Value); known {
			return a
		}
		return failed(Unexpected(r))
	}
}

var granted = quorum.Answer{Verdict: quorum.Granted}

func failed(err error) quorum.Answer { return quorum.Answer{Verdict: quorum.Failed, Err: err} }

// decodeAny treats any value as an acknowledgement.
var decodeAny = decoder(func(any) (quorum.Answer, bool) { return granted, true })

// decodeSet decodes the reply to SET NX GET: null if the key was free, otherwise the holder's token. Our own token means that
// the driver resent a command that had been executed.
func decodeSet(token string) func(driver.Reply) quorum.Answer {
	return func(r driver.Reply) quorum.Answer { // no decoder, as that would allocate twice
		if r.Err != nil {
			return decodeError(r.Err)
		}
		holder, isString := r.Value.(string)
		switch {
		case r.Value == nil || holder == token:
			return granted
		case !isString:
			return failed(Unexpected(r))
		}
		return quorum.Answer{Verdict: quorum.Refused, Token: holder}
	}
}

// voteIn decodes the result of a script that votes.
func voteIn(value any) (a quorum.Answer, known bool) {
	fields, _ := value.([]any)
	switch text, number := Text(fields, 1), Number(fields, 2); Text(fields, 0) {
	case "GRANTED":
		fence := Number(fields, 1)
		return quorum.Answer{Verdict: quorum.Granted, Fence: fence, Remaining: Lifetime(number)}, fence >= 0 && fence < maxFence
	case "VACANT":
		return granted, true
	case "SEEN", "TAKEN":
		return quorum.Answer{Verdict: quorum.Refused, Token: text, Remaining: Lifetime(number), Lasting: number == -1 && text != ""}, true
	case "DONE":
		return quorum.Answer{Verdict: quorum.Done, Token: text}, true
	case "STALE":
		return quorum.Answer{Verdict: quorum.Stale}, true
	case "AHEAD":
		return quorum.Answer{Verdict: quorum.TooFarAhead}, true
	case "PAUSED":
		return quorum.Answer{Verdict: quorum.Paused, Token: text, Remaining: Lifetime(number), Lasting: number == -1}, true
	case "LOST":
		return failed(errLostVote), true
	case "DEAD":
		return failed(errDeadToken), true
	case "YOUNG":
		return young(fields), true
	}
	return a, false
}

var decodeVote = decoder(voteIn)

// decodeFenced decodes a vote whose grant must have a fence.
var decodeFenced = decoder(func(value any) (quorum.Answer, bool) {
	a, known := voteIn(value)
	return a, known && (a.Verdict != quorum.Granted || a.Fence != 0)
})

// decodeLook decodes the vote of a dry run, whose grant is only Vacant.
var decodeLook = decoder(func(value any) (quorum.Answer, bool) {
	a, known := voteIn(value)
	if a.Verdict == quorum.Granted {
		a.Verdict = quorum.Vacant
	}
	return a, known
})

func young(fields []any) quorum.Answer {
	return failed(fmt.Errorf("%w; it votes again in %v (a fresh fleet is started with redtick bootstrap, or Inspector.Bootstrap)",
		ErrYoung, time.Duration(Number(fields, 1))*time.Millisecond))
}

// countIn decodes 1, for a key that holds our token, and 0. A release answers 2 if it also woke a waiter.
func countIn(value any) (quorum.Answer, bool) {
	switch n, known := value.(int64); n {
	case 1, 2:
		return quorum.Answer{Verdict: quorum.Granted, Woke: n == 2}, true
	default:
		return quorum.Answer{Verdict: quorum.Refused}, known && n == 0
	}
}

// DecodeCount decodes the reply to a release, or another count.
var DecodeCount = decoder(countIn)

// decodeExtend decodes a count, or the answer of a node that abstains.
var decodeExtend = decoder(func(value any) (quorum.Answer, bool) {
	if fields, _ := value.([]any); Text(fields, 0) == "YOUNG" {
		return young(fields), true
	}
	return countIn(value)
})

var decodeLast = decoder(func(value any) (quorum.Answer, bool) {
	text, isString := value.(string)
	n, _ := strconv.ParseInt(text, 10, 64)
	return quorum.Answer{Verdict: quorum.Granted, Last: n}, value == nil || isString
})

var decodePlace = decoder(func(value any) (quorum.Answer, bool) {
	fields, _ := value.([]any)
	return quorum.Answer{Verdict: quorum.Granted, Remaining: Lifetime(Number(fields, 0)), Token: Text(fields, 1)}, len(fields) == 2
})

func decodeBootstrap(r driver.Reply) quorum.Answer {
	if pipeline.IsWrongType(r.Err) {
		return failed(fmt.Errorf("the key %q holds data of another type; delete it", GuardKey))
	}
	if r.Err != nil {
		return decodeError(r.Err)
	}
	fields, _ := r.Value.([]any)
	if policy := Text(fields, 0); policy != "noeviction" {
		return failed(fmt.Errorf("maxmemory-policy is %q, must be noeviction: an evicted key is a forgotten vote", policy))
	}
	if Text(fields, 2) == "0" {
		return failed(errors.New("it was declared fresh before, and votes"))
	}
	if age := Number(fields, 1); age >= 0 {
		return failed(fmt.Errorf("%w; it is not fresh: its memory is %v old, and it votes by itself once that is more than the longest TTL of the fleet", ErrYoung, time.Duration(age)*time.Millisecond))
	}
	return granted
}

// Foreign takes the place of a token if a key of the name, or the guard's, holds data of another type.
const Foreign = "data that is not a lock, in the key of this name, one of its companions or " + GuardKey + "; delete it, or choose another name"

// decodeError decodes an error reply. A key of another type counts as a refusal, because it blocks the name as a lock does.
func decodeError(err error) quorum.Answer {
	if pipeline.IsWrongType(err) {
		return quorum.Answer{Verdict: quorum.Refused, Lasting: true, Token: Foreign}
	}
	return failed(WithCure(err))
}

// cures lists the errors that do not pass by themselves. code is a prefix of the error. within is the reason that an error
// inside a script contains; its wording differs between Redis 6, 7.0 and later.
var cures = []struct {
	code, within, cure string
}{
	{"NOPERM", "", aclCure},
	{"ERR", "The user executing the script ", aclCure},
	{"ERR", "ACL failure in script: ", aclCure},
	{"NOAUTH", "", "set the client's password"},
	{"ERR Protocol error: unauthenticated", "", "set the client's password"}, // in place of NOAUTH, for a long command
	{"WRONGPASS", "", wrongPassword},
	{"ERR invalid password", "", wrongPassword},
	{"ERR AUTH <password> called without any password", "", noPassword},
	{"ERR Client sent AUTH, but no password is set", "", noPassword},
	{"DENIED", "", "set a password on the server, or turn its protected mode off"},
	{"ERR DB index is out of range", "", noDatabase},
	{"DB index is out of range", "", noDatabase}, // as rueidis shortens it
	{"ERR SELECT is not allowed in cluster mode", "", noDatabase},
	{"CROSSSLOT", "", "the restart guard does not work on a Redis Cluster, leave WithRestartGuard out"},
	{"MOVED", "", "this address is a member of a Redis Cluster, use a Cluster client"},
	{"ERR This instance has cluster support disabled", "", "this address is not a member of a Redis Cluster, use a client for a single server"},
	{"ERR unknown command", "", "the server is older than Redis 5.0 or forbids the command"},
	{"ERR", " command called from ", "the server is older than Redis 5.0 or forbids the command"},
	{"ERR syntax error", "", "the server is older than Redis 5.0"},
	{"ERR", ": attempt to ", "a companion key of this name holds what is not a number; delete its keys that end in :last and :fence"},
}

const (
	wrongPassword = "set the client's user name and password"
	noPassword    = "the server has no password, leave the client's password out"
	noDatabase    = "choose a database that the server has"
)

const aclCure = "allow the user what SECURITY.md lists, such as: ACL SETUSER name ~prefix:* ~redtick:guard &redtick:* +@read +@write +@scripting +@pubsub +ping +time +info"

// PermanentError is a server's error that lasts until somebody corrects its cause.
type PermanentError struct {
	Cause error
	cure  string
}

func (e *PermanentError) Error() string { return e.Cause.Error() + " (" + e.cure + ")" }

// Unwrap returns the server's error.
func (e *PermanentError) Unwrap() error { return e.Cause }

// WithCure returns err as a *PermanentError with its cure if it is in cures, otherwise err.
func WithCure(err error) error {
	for _, c := range cures {
		if text := err.Error(); strings.HasPrefix(text, c.code) && strings.Contains(text, c.within) {
			return &PermanentError{Cause: err, cure: c.cure}
		}
	}
	return err
}

// Lifetime converts the result of PTTL. It is 0 for a key that is gone or never expires, and capped at the longest duration.
func Lifetime(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
}

// Unexpected returns the error for a reply that cannot be decoded.
func Unexpected(r driver.Reply) error {
	return fmt.Errorf("unexpected reply %s (%T); is this address a Redis server?", Clip(fmt.Sprint(r.Value)), r.Value)
}

// Text returns the i-th field of a reply if it is text, otherwise "".
func Text(fields []any, i int) string {
	if i < len(fields) {
		s, _ := fields[i].(string)
		return s
	}
	return ""
}

// Number returns the i-th field of a reply if it is an integer or the text of one, otherwise 0.
func Number(fields []any, i int) int64 {
	if i >= len(fields) {
		return 0
	}
	switch f := fields[i].(type) {
	case int64:
		return f
	case string:
		n, _ := strconv.ParseInt(f, 10, 64)
		return n
	}
	return 0
}

// Clip shortens and quotes a server's text for one line of a log. The text may be any data of any size.
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

// Cut returns a prefix of text with at most most bytes, without splitting a character.
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
