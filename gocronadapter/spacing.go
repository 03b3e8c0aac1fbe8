package gocronadapter

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/internal/ticks"
)

// maxSpacing is how long redlock remembers the last tick.
const maxSpacing = 7 * 24 * time.Hour

// spacing returns the shortest time between two runs of a schedule whose ticks may
// differ from replica to replica, and 0 for other schedules. An eleventh of the
// interval is left for clocks that differ, so at least nine tenths remain.
func (s *jobState) spacing() time.Duration {
	d := s.interval()
	if d == 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
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
		from, next, ok := lastPair(ticks)
		return !ok || agrees(s.Crontab, zone, from, next)
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

// lastPair returns the last two successive ticks with the same offset from UTC, if there are any: on a night when the clocks change,
// gocron does not follow the crontab alone. It begins at the end, because the first ticks may be left over from an earlier start.
func lastPair(ticks []time.Time) (from, next time.Time, ok bool) {
	for i := len(ticks) - 1; i > 0; i-- {
		if offset(ticks[i-1]) == offset(ticks[i]) {
			return ticks[i-1], ticks[i], true
		}
	}
	return from, next, false
}

// agrees reports whether the crontab consists of fields, and the tick after from is next.
func agrees(crontab string, zone *time.Location, from, next time.Time) bool {
	cron := gocron.NewDefaultCron(true) // it takes both five fields and six
	return !strings.Contains(crontab, "@every") && cron.IsValid(crontab, zone, from) == nil && cron.Next(from).Equal(next)
}

// zoneOf returns the time zone of a schedule with these ticks. A crontab has that of its scheduler, if known, whereas its ticks are in the
// zone of a start date.
func (t traits) zoneOf(schedule gocron.JobSchedule, ticks []time.Time) *time.Location {
	if _, cron := schedule.(gocron.CronJobSchedule); cron && t.zone != nil {
		return t.zone
	}
	return ticks[0].Location()
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
