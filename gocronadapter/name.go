package gocronadapter

import (
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/internal/names"
)

// compiled matches the name of a function literal, main.f.func1, also after inlining, main.f.func1.g.2.
var compiled = regexp.MustCompile(`\.func\d+(\.|$)`)

// checkName refuses a name that the compiler made for a function literal, and that
// of this package's own wrapper.
func checkName(name string) error {
	if compiled.MatchString(name) || name == taskName {
		return fmt.Errorf("%w: %q is what the compiler called a function without a name, and in the next build it may be another function; name the job with gocron.WithName",
			ErrJobName, name)
	}
	return nil
}

// owner is a job that has reserved a name.
type owner struct {
	mu    sync.Mutex
	job   gocron.Job   // nil while NewJob has not returned
	ended func() error // nil unless the scheduler is merely attached
}

func (o *owner) set(j gocron.Job) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.job = j
}

func (o *owner) get() gocron.Job {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.job
}

// String describes the job for error texts.
func (o *owner) String() string { return describeJob(o.get()) }

// Ended reports whether the job is gone. It asks gocron, which removes jobs by itself.
func (o *owner) Ended() bool {
	if o.ended != nil {
		return o.ended() != nil
	}
	j := o.get()
	return j != nil && gone(j)
}

// reserve reserves a name for a job. It fails if another job has the name, unless that is the one replaced.
func (l *Locker) reserve(name string, o, replaced *owner) error {
	if other := names.Reserve(l.locker, name, o, replaced); other != nil {
		return errShared(name, other.String(), o.String())
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
