package gocronadapter

import (
	"errors"
	"fmt"

	"github.com/redtick/redtick/redlock"
)

// The refusals of this package. They reach gocron's AfterLockError and the
// redlock.Locker's observer, as redlock's own do, and match with [errors.Is].
var (
	// ErrJobName: the job's name does not tell it apart from another job, or from itself in another build.
	// NewJob of a scheduler from [NewScheduler] returns it.
	ErrJobName = errors.New("gocronadapter: job name is no identity")
	// ErrNoTick: which tick the run belongs to is not known, so it was not run.
	ErrNoTick = errors.New("gocronadapter: run without a tick")
	// ErrBacklog: so many ticks of a job stand by to be taken over that this one does not.
	ErrBacklog = errors.New("gocronadapter: too many ticks stand by")
	// ErrVetoed: a gocron listener refused the run once its tick was claimed. It reaches the observer only.
	ErrVetoed = errors.New("gocronadapter: run vetoed")
	// ErrNoLease: a [Task] was started without a lease, so it was not run. It reaches AfterJobRunsWithError.
	ErrNoLease = errors.New("gocronadapter: task without a lease")
	// ErrSchedule: what a [Warning] says of a schedule that will surprise.
	ErrSchedule = errors.New("gocronadapter: schedule")
)

// Warning is the kind of an event about a schedule that works but will
// surprise. Its Err matches [ErrSchedule] and says what and why.
const Warning redlock.EventKind = "warning"

// errToldLost is for a run whose tick was reported when it was lost.
var errToldLost = fmt.Errorf("%w: it waited in a queue until its tick was over, for want of a quorum", ErrNoTick)

func invalid(format string, args ...any) error {
	return fmt.Errorf("gocronadapter: %w: "+format, append([]any{redlock.ErrInvalid}, args...)...)
}
