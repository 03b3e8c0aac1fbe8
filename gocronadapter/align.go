package gocronadapter

import (
	"time"

	"github.com/go-co-op/gocron/v2"
)

// Aligned puts the ticks of a gocron.DurationJob(d) on a grid that all replicas
// share: the multiples of d since the year 1, in UTC. Without it a duration job
// counts from the start of its replica. d must be the job's own duration: with one
// that is no multiple of it, which NewJob cannot tell, the job still counts from the
// start. If d is not positive, NewJob returns an error that matches
// redlock.ErrInvalid. A calendar schedule with an interval of 1 has common ticks
// without it, and a gocron.DurationRandomJob has none with it.
func Aligned(d time.Duration) gocron.JobOption {
	return dated(func(now time.Time) (gocron.JobOption, error) {
		if d <= 0 {
			return nil, invalid("Aligned has %v, must be positive: the duration of the job", d)
		}
		return gocron.WithStartAt(gocron.WithStartDateTimePast(now.Truncate(d))), nil
	})
}

// dated makes an option that depends on the scheduler's clock. gocron's job type cannot be named, but it can be inferred.
func dated[J any, O ~func(J, time.Time) error](choose func(now time.Time) (O, error)) O {
	return func(j J, now time.Time) error {
		option, err := choose(now)
		if err != nil {
			return err
		}
		return option(j, now)
	}
}
