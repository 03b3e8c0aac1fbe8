package cronadapter

import (
	"context"
	"errors"
	"fmt"

	"github.com/redtick/redtick/redlock"
)

// Errors of this package. Refusals reach the redlock.Locker's observer, as redlock's own
// do.
var (
	// ErrStopped is the cause with which [Adapter.Stop] cancels the contexts of
	// running jobs. It matches context.Canceled.
	ErrStopped = fmt.Errorf("cronadapter: stopped: %w", context.Canceled)
	// ErrNoTick means that a job was not run because the tick is not known.
	ErrNoTick = errors.New("cronadapter: run without a tick")
	// ErrBacklog means that a tick was not run because 1000 ticks of its job wait on
	// this replica already.
	ErrBacklog = errors.New("cronadapter: too many ticks wait")
	// ErrSchedule means that a schedule may differ between replicas. It comes with a
	// [Warning], and the job is run.
	ErrSchedule = errors.New("cronadapter: schedule")
)

var errNoEntry = fmt.Errorf("%w: no attached cron has an entry for the job; call Adapter.Attach, and put the wrapper first in its chain", ErrNoTick)

// invalid returns an error that matches [redlock.ErrInvalid].
func invalid(format string, args ...any) error {
	return fmt.Errorf("cronadapter: %w: "+format, append([]any{redlock.ErrInvalid}, args...)...)
}

// Warning is an event kind that this package adds to redlock's: a schedule works, but
// may differ between replicas. Err matches [ErrSchedule].
const Warning redlock.EventKind = "warning"
