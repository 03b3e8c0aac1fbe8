package main

import (
	"os"
	"time"
	_ "time/tzdata" // containers often have no time zones, and --zone must work there

	"github.com/redtick/redtick/internal/ticks"
	"github.com/redtick/redtick/redlock"
)

const (
	shortestPeriod = time.Second
	longestPeriod  = 28 * 24 * time.Hour
	day            = 24 * time.Hour
)

// parseTick parses --tick: a period, which stands for its current tick, or an
// instant. options make the nodes remember the tick long enough: the current tick
// may be almost as old as the period, and a day may have 25 hours.
func parseTick(s, zone string, now time.Time) (tick time.Time, options []redlock.JobOption, err error) {
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return at, nil, nil
	}
	period, err := time.ParseDuration(s)
	if err != nil || period < shortestPeriod || period > longestPeriod {
		return time.Time{}, nil, usage("--tick is %q, must be a period from %v to %v such as 1m or 24h, or an instant such as 2026-01-02T15:04:00Z", s, shortestPeriod, longestPeriod)
	}
	in := time.UTC
	if zone != "" || period > time.Hour {
		if in, err = dayZone(zone); err != nil {
			return time.Time{}, nil, err
		}
	}
	options = []redlock.JobOption{redlock.WithRetention(period + time.Hour + redlock.DefaultRetention)}
	if period%day == 0 {
		options = append(options, redlock.WithSpacing(daysApart(period)))
	}
	return current(now, period, in), options, nil
}

// cronZone is the variable with the time zone of cronie's schedules. cronie passes it to its jobs.
const cronZone = "CRON_TZ"

// dayZone returns the zone in which --tick counts days.
func dayZone(option string) (*time.Location, error) {
	name := os.Getenv(cronZone)
	if option != "" || name == "" {
		return parseZone(option)
	}
	in, err := parseZone(name)
	if err != nil {
		return nil, usage("%s is %q, must be a name of the time zone database such as Europe/Berlin, or UTC; or say here which zone is meant: --zone", cronZone, name)
	}
	return in, nil
}

// parseZone returns the machine's zone for "", unless Go cannot read that.
func parseZone(name string) (*time.Location, error) {
	if name == "" {
		if tz := os.Getenv("TZ"); !ticks.ReadableTZ(tz) {
			return nil, usage("TZ is %q, must be a name of the time zone database such as Europe/Berlin, or UTC; or say here which zone is meant: --zone, or CRON_TZ= in a crontab", tz)
		}
		return time.Local, nil
	}
	in, err := time.LoadLocation(name)
	if err != nil {
		return nil, usage("--zone is %q, must be a name of the time zone database such as Europe/Berlin, or UTC", name)
	}
	return in, nil
}

// current returns the start of the period that contains now. Periods of days, and of
// hours that divide a day, are counted from local midnight, as crontabs do. (In UTC,
// a run at midnight in summer would fall into the period of the day before.) All
// others are counted in UTC: up to an hour, so that both 1:30 of an autumn night are
// ticks; longer ones cannot be written in a crontab.
func current(now time.Time, period time.Duration, in *time.Location) time.Time {
	if period <= time.Hour || period%day != 0 && day%period != 0 {
		return now.Truncate(period).UTC()
	}
	began := wall(now, in).Truncate(period)
	// The local clock may have shown that time twice or never. The period began when it first showed that time or a later one.
	tick := time.Date(began.Year(), began.Month(), began.Day(), began.Hour(), began.Minute(), began.Second(), 0, in).Add(-3 * time.Hour)
	for wall(tick, in).Before(began) {
		tick = tick.Add(time.Minute)
	}
	return tick.UTC()
}

// wall returns the local date and time of t, labelled as UTC.
func wall(t time.Time, in *time.Location) time.Time {
	t = t.In(in)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// daysApart returns the least spacing of days, so that machines in different time
// zones do not each run a day. A day has at least 23 hours.
func daysApart(period time.Duration) time.Duration { return min(period-4*time.Hour, 7*day) }
