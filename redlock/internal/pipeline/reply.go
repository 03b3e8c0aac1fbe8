package pipeline

import (
	"context"
	"errors"
	"strings"

	"github.com/redtick/redtick/redlock/driver"
)

// Answered reports whether the server answered, be it with an error. Its error
// codes are in capitals; a client's own errors do not begin with one.
func Answered(r driver.Reply) bool { return r.Err == nil || codeOf(r.Err) != "" }

// Executed reports whether the server has executed the command. An error reply
// is not an execution (BUSY, LOADING, READONLY, MISCONF, OOM, NOREPLICAS,
// TRYAGAIN, CLUSTERDOWN, MASTERDOWN and others pass), except WRONGTYPE, which
// says that the key holds somebody else's data: nothing of ours is there.
func Executed(r driver.Reply) bool { return r.Err == nil || IsWrongType(r.Err) }

// IsWrongType reports whether the key holds data of another type. Servers
// before 7.0 wrap the code of an error inside a script.
func IsWrongType(err error) bool {
	return hasCode(err, "WRONGTYPE") || hasCode(err, "ERR") && strings.Contains(err.Error(), ": WRONGTYPE ")
}

// codeOf is the error code that the server's reply begins with, or "".
func codeOf(err error) string {
	code, _, more := strings.Cut(err.Error(), " ")
	if !more || code == "" || code != strings.ToUpper(code) || code[0] < 'A' || code[0] > 'Z' || strings.HasSuffix(code, ":") {
		return ""
	}
	return code
}

func hasCode(err error, code string) bool { return err != nil && codeOf(err) == code }

func isSyntaxError(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "ERR syntax error")
}

// ownTimeout keeps the end of a batch's time, or of a driver's, from being mistaken for the end of the caller's context.
func ownTimeout(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return timedOut{err}
	}
	return err
}

type timedOut struct{ cause error }

func (e timedOut) Error() string { return e.cause.Error() }

// Is and As let callers look at the driver's error, such as a net.Error, all the same.
func (e timedOut) Is(target error) bool {
	return target != context.DeadlineExceeded && target != context.Canceled && errors.Is(e.cause, target)
}

func (e timedOut) As(target any) bool { return errors.As(e.cause, target) }
