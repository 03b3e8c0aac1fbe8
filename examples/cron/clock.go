package main

import (
	"time"

	"github.com/robfig/cron/v3"
)

// shifted is a schedule as cron would run it on a machine whose clock is ahead by a
// fixed amount.
type shifted struct {
	cron.Schedule
	ahead time.Duration
}

func (s shifted) Next(t time.Time) time.Time {
	return s.Schedule.Next(t.Add(s.ahead)).Add(-s.ahead)
}

// shift shifts the schedules of a cron's jobs, as cron itself has no option for a
// clock. The cron must not be running.
func shift(c *cron.Cron, ahead time.Duration) {
	for _, e := range c.Entries() {
		c.Remove(e.ID)
		c.Schedule(shifted{e.Schedule, ahead}, e.Job)
	}
}
