package gocronadapter

import (
	"errors"
	"fmt"

	"github.com/redtick/redtick/redlock"
)

// The errors of this package, for [errors.Is]. Unless it says otherwise, each is
// a refusal that reaches gocron's AfterLockError and the redlock.Locker's observer.
var (
	// ErrJobName: the job's name is also that of another job, or may change with the next build.
	// NewJob and Update of a scheduler from [NewScheduler] return it.
	ErrJobName = errors.New("gocronadapter: job name is no identity")
	// ErrNoTick: it is not known which tick the run belongs to, so it did not run.
	ErrNoTick = errors.New("gocronadapter: run without a tick")
	// ErrBacklog: too many ticks of the job stand by to be taken over, so this one does not.
	ErrBacklog = errors.New("gocronadapter: too many ticks stand by")
	// ErrVetoed: a gocron listener refused the run after its tick was claimed. It reaches the observer only.
	ErrVetoed = errors.New("gocronadapter: run vetoed")
	// ErrNoLease: a [Task] was started without a lease, so it did not run. It reaches AfterJobRunsWithError.
	ErrNoLease = errors.New("gocronadapter: task without a lease")
	// ErrSchedule: the schedule works but will surprise. It is the error of a [Warning].
	ErrSchedule = errors.New("gocronadapter: schedule")
)

// Warning is the kind of an event about a job that runs but will surprise. Its
// Err says what and why. It matches [ErrSchedule], unless an error of gocron or
// redlock keeps missed ticks or triggers from being run.
const Warning redlock.EventKind = "warning"

// errReportedLost is for a run whose tick was reported when it was lost.
var errReportedLost = fmt.Errorf("%w: it waited in a queue until its tick was over, for want of a quorum", ErrNoTick)

func invalid(format string, args ...any) error {
	return fmt.Errorf("gocronadapter: %w: "+format, append([]any{redlock.ErrInvalid}, args...)...)
}
