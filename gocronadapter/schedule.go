package gocronadapter

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/internal/ticks"
)

// maxSpacing is how long redlock remembers the last tick.
const maxSpacing = 7 * 24 * time.Hour

// spacing returns the shortest time between two runs of a schedule whose ticks may
// differ from replica to replica, and 0 for other schedules. An eleventh of the
// interval is left for clocks that differ, so at least nine tenths remain. The caller
// holds mu.
func (s *jobState) spacing() time.Duration {
	d := s.interval()
	if d == 0 {
		if !s.uncommon {
			return 0
		}
		d = s.gap
	}
	return min(d-d/11, maxSpacing)
}

// common reports whether the schedule has the same ticks on all replicas. zone is
// the time zone of the schedule. The ticks of "@every 10s" count from when it is
// asked. Those of a gocron.Cron that is not gocron's own are not known to be
// common; the spacing that they get is less than the time between two of them, so
// it does no harm if they are.
func common(schedule gocron.JobSchedule, ticks []time.Time, zone *time.Location) bool {
	switch s := schedule.(type) {
	case gocron.CronJobSchedule:
		return agree(s.Crontab, zone, ticks)
	case gocron.DailyJobSchedule:
		return s.Interval == 1
	case gocron.WeeklyJobSchedule:
		return s.Interval == 1
	case gocron.MonthlyJobSchedule:
		return s.Interval == 1
	case gocron.OneTimeJobSchedule:
		return true
	}
	return false
}

// agree reports whether the crontab consists of fields, and gives the last of these ticks. It looks at the last two with the same offset
// from UTC: on a night when the clocks change, gocron does not follow the crontab alone, and the first ticks may be left over from an
// earlier start.
func agree(crontab string, zone *time.Location, ticks []time.Time) bool {
	for i := len(ticks) - 1; i > 0; i-- {
		if from, next := ticks[i-1], ticks[i]; offset(from) == offset(next) {
			cron := gocron.NewDefaultCron(true) // it takes both five fields and six
			return !strings.Contains(crontab, "@every") && cron.IsValid(crontab, zone, from) == nil && cron.Next(from).Equal(next)
		}
	}
	return true
}

// gapOf returns the shortest time between successive ticks, last among them unless it is zero.
func gapOf(last time.Time, ticks []time.Time) (gap time.Duration) {
	for _, t := range ticks {
		if d := t.Sub(last); !last.IsZero() && d > 0 && (gap == 0 || d < gap) {
			gap = d
		}
		last = t
	}
	return gap
}

// checkZone warns, once for each Locker, when a schedule follows the time zone of
// the machine, which may differ on another replica.
func (l *Locker) checkZone(name string, schedule gocron.JobSchedule, zone *time.Location) {
	switch s := schedule.(type) {
	case gocron.CronJobSchedule:
		if strings.HasPrefix(s.Crontab, "TZ=") || strings.HasPrefix(s.Crontab, "CRON_TZ=") {
			return
		}
	case gocron.DailyJobSchedule, gocron.WeeklyJobSchedule, gocron.MonthlyJobSchedule:
	default:
		return
	}
	if zone != time.Local || !ticks.LocalMayDiffer() {
		return
	}
	l.zone.Do(func() {
		l.warn(name, fmt.Errorf("%w: job %q follows %s; a replica with another TZ runs it at other instants, so it runs more than once; give the scheduler gocron.WithLocation",
			ErrSchedule, name, ticks.Local(time.Now())))
	})
}

// minDateGap is the longest that Lock may plausibly take when nodes are slow.
const minDateGap = 5 * time.Second

// checkDates warns of one-time dates so close together that gocron may hang: it
// looks for the next date when Lock has returned, in an endless loop if none is left.
func (l *Locker) checkDates(name string, schedule gocron.JobSchedule) {
	once, ok := schedule.(gocron.OneTimeJobSchedule)
	if !ok {
		return
	}
	if gap := gapOf(time.Time{}, once.StartAt); gap > 0 && gap < minDateGap {
		l.warn(name, fmt.Errorf("%w: job %q has dates that are %v apart; gocron 2.21 hangs for ever when Lock takes longer than that, as it may when a node is slow; keep them at least %v apart, or use gocron.WithSingletonMode",
			ErrSchedule, name, gap, minDateGap))
	}
}

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
		return describeCalendar[int](s.Interval, "day", nil, s.AtTimes)
	case gocron.WeeklyJobSchedule:
		return describeCalendar(s.Interval, "week", s.DaysOfWeek, s.AtTimes)
	case gocron.MonthlyJobSchedule:
		return describeCalendar(s.Interval, "month", append(slices.Clip(s.Days), s.DaysFromEnd...), s.AtTimes)
	case gocron.OneTimeJobSchedule:
		return "once"
	}
	return ""
}

func describeCalendar[D any](interval uint, unit string, days []D, times []time.Time) string {
	text := "every " + unit
	if interval != 1 {
		text = fmt.Sprintf("every %d %ss", interval, unit)
	}
	before := " on "
	for _, d := range days {
		text += before + fmt.Sprint(d)
		before = ", "
	}
	before = " at "
	for _, t := range times {
		text += before + t.Format(time.TimeOnly)
		before = ", "
	}
	return text
}

// next returns the tick after this one, or zero if gocron does not have it pending.
func (s *jobState) next(tick time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.job.Schedule().(gocron.DurationJobSchedule); ok {
		return tick.Add(d.Duration)
	}
	return oldest(s.known, func(t time.Time) bool { return t.After(tick) })
}

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
