package gocronadapter

import (
	"errors"
	"fmt"

	"github.com/redtick/redtick/redlock"
)

// The refusals of this package. They reach gocron's AfterLockError, as
// redlock's own do, and match with [errors.Is].
var (
	// ErrJobName: the job's name does not tell it apart from another job, or from itself in another build.
	// NewJob of a scheduler from [NewScheduler] returns it.
	ErrJobName = errors.New("gocronadapter: job name is no identity")
	// ErrNoTick: which tick the run belongs to is not known, so it was not run.
	ErrNoTick = errors.New("gocronadapter: run without a tick")
	// ErrBacklog: so many ticks of a job stand by to be taken over that this one does not.
	ErrBacklog = errors.New("gocronadapter: too many ticks stand by")
	// ErrNoLease: a [Task] was started without a lease, so it was not run. It reaches AfterJobRunsWithError.
	ErrNoLease = errors.New("gocronadapter: task without a lease")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("gocronadapter: %w: "+format, append([]any{redlock.ErrInvalid}, args...)...)
}
