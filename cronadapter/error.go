package cronadapter

import (
	"errors"
	"fmt"

	"github.com/redtick/redtick/redlock"
)

// ErrStopped is the cause with which the context of a running job ends at
// [Adapter.Stop].
var ErrStopped = errors.New("cronadapter: stopped")

// Why a run of a job never got to its claim.
var (
	errNotDue  = errors.New("cronadapter: no tick has come yet, the job was started by hand: call its function itself, under Mutex.Do if it must not overlap")
	errNoEntry = errors.New("cronadapter: no attached cron has an entry for the job, so its tick is unknown: call Adapter.Attach, and put the wrapper first in its chain")
	errUsed    = errors.New("cronadapter: the wrapper was applied to a second job, which never runs: a name belongs to one job; call Adapter.Wrap for each")
)

// invalid makes the error for a refused argument; it matches [redlock.ErrInvalid].
func invalid(format string, args ...any) error {
	return fmt.Errorf("cronadapter: %w: "+format, append([]any{redlock.ErrInvalid}, args...)...)
}
