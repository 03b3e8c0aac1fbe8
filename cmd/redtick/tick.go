package main

import (
	"time"

	"github.com/redtick/redtick/redlock"
)

const (
	shortestPeriod = time.Second
	longestPeriod  = 28 * 24 * time.Hour
)

// parseTick reads -tick: the current one of ticks that follow each other by a
// period, or an instant. options make the nodes remember it for long enough:
// the current tick of a period may be almost as old as the period.
func parseTick(s string, now time.Time) (tick time.Time, options []redlock.JobOption, err error) {
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return at, nil, nil
	}
	period, err := time.ParseDuration(s)
	if err != nil || period < shortestPeriod || period > longestPeriod {
		return time.Time{}, nil, usage("--tick is %q, must be a period from %v to %v such as 1m or 24h, or an instant such as 2026-01-02T15:04:00Z", s, shortestPeriod, longestPeriod)
	}
	return now.Truncate(period).UTC(), []redlock.JobOption{redlock.WithRetention(period + redlock.DefaultRetention)}, nil
}
