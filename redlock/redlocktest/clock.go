package redlocktest

import "time"

// clock is a server's idea of the time. Its zero value is right.
type clock struct {
	offset time.Duration
	gain   float64 // what it gains in each unit of time
	since  time.Time
}

func newClock(offset time.Duration, rate float64) clock {
	return clock{offset: offset, gain: rate - 1, since: time.Now()}
}

func (c clock) now() time.Time {
	now := time.Now().Add(c.offset)
	if c.gain == 0 {
		return now
	}
	return now.Add(time.Duration(float64(time.Since(c.since)) * c.gain))
}
