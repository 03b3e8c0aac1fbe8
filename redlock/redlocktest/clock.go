package redlocktest

import "time"

// clock is a server's clock. The zero value is correct.
type clock struct {
	offset time.Duration
	gain   float64 // per unit of time
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
