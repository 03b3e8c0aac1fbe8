package cronadapter

import (
	"context"
	"errors"
	"fmt"

	"github.com/redtick/redtick/redlock"
)

// The refusals of this package reach the observer of the redlock.Locker, as
// redlock's own do.
var (
	// ErrStopped is the cause with which the context of a running job ends at
	// [Adapter.Stop]. It matches context.Canceled.
	ErrStopped = fmt.Errorf("cronadapter: stopped: %w", context.Canceled)
	// ErrNoTick: the tick of a run is not known, so it did not run.
	ErrNoTick = errors.New("cronadapter: run without a tick")
	// ErrBacklog: so many ticks of the job wait on this replica that this one does not.
	ErrBacklog = errors.New("cronadapter: too many ticks wait")
	// ErrSchedule is what a [Warning] says of a schedule that will surprise.
	ErrSchedule = errors.New("cronadapter: schedule")
)

var (
	errNotDue  = fmt.Errorf("%w: none has come yet, so it was started by hand; call the function itself, under Mutex.Do if it must not overlap", ErrNoTick)
	errNoEntry = fmt.Errorf("%w: no attached cron has an entry for the job; call Adapter.Attach, and put the wrapper first in its chain", ErrNoTick)
	errRemoved = invalid("its cron has no entry for the job any more, so it does not run; take a job out with Adapter.Remove, which also frees its name")
	errUsed    = invalid("the wrapper was applied to a second job, which never runs: a name belongs to one job; call Adapter.Wrap for each")
	errBacklog = fmt.Errorf("%w: %d of this job do already, because it is slower than its schedule; run it less often, or let cron.SkipIfStillRunning drop what comes meanwhile", ErrBacklog, maxBacklog)
)

// invalid makes the error for a refused argument; it matches [redlock.ErrInvalid].
func invalid(format string, args ...any) error {
	return fmt.Errorf("cronadapter: %w: "+format, append([]any{redlock.ErrInvalid}, args...)...)
}
