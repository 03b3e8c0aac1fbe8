package gocronadapter

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/internal/names"
)

// compiled matches the name of a function literal, main.f.func1, also after inlining, main.f.func1.g.2.
var compiled = regexp.MustCompile(`\.func\d+(\.|$)`)

// checkName refuses a name that the compiler made for a function literal, such as the one of Task.
func checkName(name string) error {
	if compiled.MatchString(name) {
		return fmt.Errorf("%w: %q is what the compiler called a function without a name, and in the next build it may be another function; name the job with gocron.WithName",
			ErrJobName, name)
	}
	return nil
}

// reserve reserves the name of a job. It fails if the name identifies no job, or no lock, or if another job has it, unless that is the one replaced.
func (l *Locker) reserve(job, replaced *jobLocker) error {
	if err := cmp.Or(checkName(job.name), l.locker.CheckName(job.name)); err != nil {
		return err
	}
	if other := names.Reserve(l.locker, job.name, job, replaced); other != nil {
		return errShared(job.name, other.String(), job.String())
	}
	return nil
}

func errShared(name, one, another string) error {
	return fmt.Errorf("%w: %s and %s are both named %q and would take each other's ticks; give each its own name with gocron.WithName",
		ErrJobName, one, another, name)
}

// gone reports whether gocron does not have the job any more. A scheduler that is busy or shut down returns the same error, but only
// after gocronTimeout.
func gone(j gocron.Job) bool {
	asked := time.Now()
	_, err := j.NextRun()
	return errors.Is(err, gocron.ErrJobNotFound) && time.Since(asked) < gocronTimeout
}

// describeJob describes a job by its ID and schedule, for jobs that share a name.
func describeJob(j gocron.Job) string {
	if j == nil {
		return "the new job"
	}
	schedule := describeSchedule(j.Schedule())
	if s, ok := j.Schedule().(gocron.CronJobSchedule); ok {
		schedule = fmt.Sprintf("cron %q", s.Crontab)
	}
	return fmt.Sprintf("job %s (%s)", j.ID(), schedule)
}
