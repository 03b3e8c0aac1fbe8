package demo

import "time"

// Job is one job of the schedule that all replicas share.
type Job struct {
	Name string
	// Every is the time between two ticks, which lie on the multiples of it since 1970 (UTC).
	Every time.Duration
	// Lasts is how long a run takes.
	Lasts time.Duration
}

// at is the job's first tick that is not before t.
func (j Job) at(t time.Time) time.Time {
	if tick := t.Truncate(j.Every); tick.Equal(t) {
		return tick
	}
	return t.Truncate(j.Every).Add(j.Every)
}
