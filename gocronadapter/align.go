package gocronadapter

import (
	"time"

	"github.com/go-co-op/gocron/v2"
)

// Aligned puts the ticks of a gocron.DurationJob(d) on a grid that all replicas
// share: the multiples of d since the year 1, in UTC. Without it a duration job
// counts from the moment its replica started. Give it the job's own d, which
// must be positive.
func Aligned(d time.Duration) gocron.JobOption {
	return dated(func(now time.Time) gocron.JobOption {
		return gocron.WithStartAt(gocron.WithStartDateTimePast(now.Truncate(d)))
	})
}

// dated makes an option that depends on the scheduler's clock. gocron's type of a job cannot be named, but it can be inferred.
func dated[J any, O ~func(J, time.Time) error](option func(now time.Time) O) O {
	return func(j J, now time.Time) error { return option(now)(j, now) }
}
