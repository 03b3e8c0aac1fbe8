package gocronadapter

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// describeSchedule returns the text of a schedule for the job's history.
func describeSchedule(schedule gocron.JobSchedule) string {
	switch s := schedule.(type) {
	case gocron.CronJobSchedule:
		return s.Crontab
	case gocron.DurationJobSchedule:
		return fmt.Sprintf("every %v", s.Duration)
	case gocron.DurationRandomJobSchedule:
		return fmt.Sprintf("every %v to %v", s.Min, s.Max)
	case gocron.DailyJobSchedule:
		return every(s.Interval, "day") + at(s.AtTimes)
	case gocron.WeeklyJobSchedule:
		return every(s.Interval, "week") + on(s.DaysOfWeek) + at(s.AtTimes)
	case gocron.MonthlyJobSchedule:
		return every(s.Interval, "month") + on(append(s.Days[:len(s.Days):len(s.Days)], s.DaysFromEnd...)) + at(s.AtTimes)
	case gocron.OneTimeJobSchedule:
		return "once"
	}
	return ""
}

func every(n uint, unit string) string {
	if n == 1 {
		return "every " + unit
	}
	return fmt.Sprintf("every %d %ss", n, unit)
}

func on[T any](days []T) string {
	return " on " + list(days, func(d T) string { return fmt.Sprint(d) })
}

func at(times []time.Time) string {
	return " at " + list(times, func(t time.Time) string { return t.Format(time.TimeOnly) })
}

func list[T any](items []T, text func(T) string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = text(item)
	}
	return strings.Join(texts, ", ")
}

// next returns the tick after this one, or zero if gocron does not have it pending.
func (s *jobState) next(tick time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.job.Schedule().(gocron.DurationJobSchedule); ok {
		return tick.Add(d.Duration)
	}
	for _, t := range s.known {
		if t.After(tick) {
			return t
		}
	}
	return time.Time{}
}
