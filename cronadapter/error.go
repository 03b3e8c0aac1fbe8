package cronadapter

import (
	"errors"
	"fmt"

	"github.com/redtick/redtick/redlock"
)

var (
	// ErrStopped is the cause with which the context of a running job ends at [Adapter.Stop].
	ErrStopped = errors.New("cronadapter: stopped")
	// ErrNoTick: the tick of a run is not known, so it did not run. It reaches the logger.
	ErrNoTick = errors.New("cronadapter: run without a tick")
)

var (
	errNotDue  = fmt.Errorf("%w: none has come yet, so it was started by hand; call the function itself, under Mutex.Do if it must not overlap", ErrNoTick)
	errNoEntry = fmt.Errorf("%w: no attached cron has an entry for the job; call Adapter.Attach, and put the wrapper first in its chain", ErrNoTick)
	errUsed    = invalid("the wrapper was applied to a second job, which never runs: a name belongs to one job; call Adapter.Wrap for each")
)

// invalid makes the error for a refused argument; it matches [redlock.ErrInvalid].
func invalid(format string, args ...any) error {
	return fmt.Errorf("cronadapter: %w: "+format, append([]any{redlock.ErrInvalid}, args...)...)
}
