package pipeline

import (
	"context"
	"errors"
	"strings"

	"github.com/redtick/redtick/redlock/driver"
)

// Executed reports whether the server has executed a command. An error reply
// means that it has not (BUSY, LOADING, READONLY, MISCONF, OOM, NOREPLICAS,
// TRYAGAIN, CLUSTERDOWN, MASTERDOWN and others pass). The exception is WRONGTYPE:
// the key holds somebody else's data, so there is nothing of ours to act on.
func Executed(err error) bool { return err == nil || IsWrongType(err) }

// IsWrongType reports whether the key holds data of another type. Servers
// before 7.0 wrap the code of an error inside a script.
func IsWrongType(err error) bool {
	code := driver.ErrorCode(err)
	return code == "WRONGTYPE" || code == "ERR" && strings.Contains(err.Error(), ": WRONGTYPE ")
}

// ownTimeout wraps the error of a batch's or driver's context, so that it does not pass for that of the caller's.
func ownTimeout(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return timedOut{err}
	}
	return err
}

type timedOut struct{ error }

// Is and As still find the driver's error, such as a net.Error.
func (e timedOut) Is(target error) bool {
	return target != context.DeadlineExceeded && target != context.Canceled && errors.Is(e.error, target)
}

func (e timedOut) As(target any) bool { return errors.As(e.error, target) }
