package main

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// instant is a reading of CLOCK_MONOTONIC in nanoseconds. All processes of a machine
// share the clock, so the instants of their histories are comparable.
type instant int64

func now() instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // cannot happen on Linux
	}
	return instant(ts.Nano())
}

// instantOf converts a time with a monotonic reading. A pause of the process
// between the two clock readings makes the result earlier, never later: a
// lease's validity may be recorded as too short, but not as too long.
func instantOf(t time.Time) instant {
	base := now()
	return base + instant(time.Until(t))
}

func (i instant) add(d time.Duration) instant     { return i + instant(d) }
func (i instant) since(j instant) time.Duration   { return time.Duration(i - j) }
func (i instant) within(from, to instant) bool    { return from <= i && i <= to }
func overlap(aFrom, aTo, bFrom, bTo instant) bool { return aFrom < bTo && bFrom < aTo }

const (
	stallProbe = 20 * time.Millisecond
	stallLimit = 100 * time.Millisecond
)

// watchStalls records when this process did not get to run: it was stopped, or the
// machine was busy. Checks that depend on time exclude these periods.
func watchStalls(ctx context.Context, log *recorder) {
	for last := now(); ctx.Err() == nil; {
		sleep(ctx, stallProbe)
		if t := now(); t.since(last) > stallLimit {
			log.put(event{Kind: stalled, At: last, Done: t})
		}
		last = now()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
