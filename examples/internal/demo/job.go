package demo

import "time"

// Job is one job of the schedule that all replicas share.
type Job struct {
	Name string
	// Every is the time between two ticks. Ticks are multiples of Every since 1970 (UTC).
	Every time.Duration
	// Lasts is how long a run takes.
	Lasts time.Duration
}

// PulseAndReport are a job that takes less time than the clocks differ, and one that
// takes longer.
var PulseAndReport = []Job{
	{Name: "pulse", Every: time.Second, Lasts: time.Millisecond},
	{Name: "report", Every: 5 * time.Second, Lasts: 1500 * time.Millisecond},
}

// at returns the job's first tick that is not before t.
func (j Job) at(t time.Time) time.Time {
	if tick := t.Truncate(j.Every); tick.Equal(t) {
		return tick
	}
	return t.Truncate(j.Every).Add(j.Every)
}
