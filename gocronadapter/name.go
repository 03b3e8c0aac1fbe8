package gocronadapter

import (
	"fmt"
	"regexp"

	"github.com/go-co-op/gocron/v2"
)

// closure matches main.f.func1, and what is made of it by inlining: main.f.func1.g.2.
var closure = regexp.MustCompile(`\.func\d+(\.|$)`)

// checkName refuses the name of a closure.
func checkName(name string) error {
	if closure.MatchString(name) {
		return fmt.Errorf("%w: %q is what the compiler called a function that has no name; in the next build that may be another function; name the job with gocron.WithName",
			ErrJobName, name)
	}
	return nil
}

// find returns the only job of that name.
func find(jobs []gocron.Job, name string) (gocron.Job, error) {
	var found gocron.Job
	for _, j := range jobs {
		switch {
		case j.Name() != name:
		case found != nil:
			return nil, fmt.Errorf("%w: %s and %s are both named %q and would take each other's ticks; give each its own name with gocron.WithName",
				ErrJobName, describe(found), describe(j), name)
		default:
			found = j
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: the attached scheduler has no job %q; attach the Locker to the scheduler that uses it", ErrNoTick, name)
	}
	return found, nil
}

// describe tells jobs apart whose names do not.
func describe(j gocron.Job) string {
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
