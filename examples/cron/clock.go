package main

import (
	"time"

	"github.com/robfig/cron/v3"
)

// shifted shows a schedule to cron as on a machine whose clock is ahead by a
// fixed amount.
type shifted struct {
	cron.Schedule
	ahead time.Duration
}

func (s shifted) Next(t time.Time) time.Time {
	return s.Schedule.Next(t.Add(s.ahead)).Add(-s.ahead)
}

// shift gives the jobs of a cron that has not started shifted schedules. cron
// itself cannot be given a clock.
func shift(c *cron.Cron, ahead time.Duration) {
	for _, e := range c.Entries() {
		c.Remove(e.ID)
		c.Schedule(shifted{e.Schedule, ahead}, e.Job)
	}
}
