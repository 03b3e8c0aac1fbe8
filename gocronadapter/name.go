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

// compiled matches main.f.func1, and what is made of it by inlining: main.f.func1.g.2.
var compiled = regexp.MustCompile(`\.func\d+(\.|$)`)

// checkName refuses what the compiler calls a function that has no name, or
// this package's own wrapper of one.
func checkName(name string) error {
	if compiled.MatchString(name) || name == taskName {
		return fmt.Errorf("%w: %q is what the compiler called a function that has no name; in the next build that may be another function; name the job with gocron.WithName",
			ErrJobName, name)
	}
	return nil
}

// owner is the job that has a name.
type owner struct {
	mu    sync.Mutex
	job   gocron.Job   // nil while NewJob has not returned
	ended func() error // of an attached scheduler's job, else nil
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

// String is what errors call the job.
func (o *owner) String() string { return describe(o.get()) }

// Ended asks gocron, since gocron removes jobs by itself.
func (o *owner) Ended() bool {
	if o.ended != nil {
		return o.ended() != nil
	}
	j := o.get()
	return j != nil && gone(j)
}

// reserve gives a name to a job, unless another has it that is not to be replaced.
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

// gone reports whether gocron has said that it does not have the job. One that is busy, or was shut down, says the same once its
// handle has waited in vain, and that is no answer.
func gone(j gocron.Job) bool {
	asked := time.Now()
	_, err := j.NextRun()
	return errors.Is(err, gocron.ErrJobNotFound) && time.Since(asked) < gocronLimit
}

// describe tells jobs apart whose names do not.
func describe(j gocron.Job) string {
	if j == nil {
		return "the new job"
	}
	schedule := inWords(j.Schedule())
	if s, ok := j.Schedule().(gocron.CronJobSchedule); ok {
		schedule = fmt.Sprintf("cron %q", s.Crontab)
	}
	return fmt.Sprintf("job %s (%s)", j.ID(), schedule)
}
