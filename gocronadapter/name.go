package gocronadapter

import (
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/redlock"
)

// compiled matches main.f.func1, and what is made of it by inlining: main.f.func1.g.2.
var compiled = regexp.MustCompile(`\.func\d+(\.|$)`)

// checkName refuses what the compiler calls a function that has no name, or
// this package's own wrapper of one.
func checkName(name string) error {
	if compiled.MatchString(name) || name == taskName() {
		return fmt.Errorf("%w: %q is what the compiler called a function that has no name; in the next build that may be another function; name the job with gocron.WithName",
			ErrJobName, name)
	}
	return nil
}

// names are those of all jobs of this process, so that two schedulers on one
// redlock.Locker do not take each other's ticks.
var names = registry{owners: make(map[nameKey]*owner)}

type registry struct {
	mu     sync.Mutex
	owners map[nameKey]*owner
}

type nameKey struct {
	locker *redlock.Locker
	name   string
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

func (o *owner) alive() bool {
	if o.ended != nil {
		return o.ended() == nil
	}
	j := o.get()
	return j == nil || exists(j)
}

// reserve gives a name to a job, unless one has it that is not to be replaced.
// It asks gocron about that one, since gocron removes jobs by itself.
func (r *registry) reserve(key nameKey, o, replaced *owner) error {
	for {
		r.mu.Lock()
		other := r.owners[key]
		if other == nil || other == replaced {
			r.owners[key] = o
			r.mu.Unlock()
			return nil
		}
		r.mu.Unlock()
		if other.alive() {
			return errShared(key.name, other.get(), o.get())
		}
		r.release(key, other)
	}
}

func (r *registry) release(key nameKey, o *owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owners[key] == o {
		delete(r.owners, key)
	}
}

// exists asks gocron, which takes a second to answer when it was shut down.
func exists(j gocron.Job) bool {
	_, err := j.NextRun()
	return !errors.Is(err, gocron.ErrJobNotFound)
}

func errShared(name string, a, b gocron.Job) error {
	return fmt.Errorf("%w: %s and %s are both named %q and would take each other's ticks; give each its own name with gocron.WithName",
		ErrJobName, describe(a), describe(b), name)
}

// describe tells jobs apart whose names do not.
func describe(j gocron.Job) string {
	if j == nil {
		return "the new job"
	}
	var schedule string
	switch s := j.Schedule().(type) {
	case gocron.CronJobSchedule:
		schedule = fmt.Sprintf("cron %q", s.Crontab)
	case gocron.DurationJobSchedule:
		schedule = fmt.Sprintf("every %v", s.Duration)
	case gocron.DurationRandomJobSchedule:
		schedule = fmt.Sprintf("every %v to %v", s.Min, s.Max)
	case gocron.DailyJobSchedule:
		schedule = "daily"
	case gocron.WeeklyJobSchedule:
		schedule = "weekly"
	case gocron.MonthlyJobSchedule:
		schedule = "monthly"
	case gocron.OneTimeJobSchedule:
		schedule = "one time"
	}
	return fmt.Sprintf("job %s (%s)", j.ID(), schedule)
}
