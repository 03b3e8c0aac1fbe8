package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redtick/redtick/cmd/redtick/internal/crontab"
	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
)

// observe logs the library's events, except those that work logs itself.
func (d *daemon) observe(e redlock.Event) {
	switch {
	case overlaps(e):
		d.log.Warn("skipped, the lease is still held for an earlier run", "name", e.Name, "tick", instant(e.Tick),
			"holder", printable(redlock.HolderOf(e.Holder)), "running_tick", instant(redlock.TickOf(e.Holder)))
	case e.Kind == cronadapter.Warning && errors.Is(e.Err, cronadapter.ErrSchedule):
		d.log.Warn("the schedule follows the time zone of this machine; on a machine with another one it runs at other instants, and then more than once: put CRON_TZ=, such as CRON_TZ=Europe/Berlin, above it", "name", e.Name)
	case d.verbose, e.Kind != redlock.Acquired && e.Kind != redlock.Ended && (e.Kind != redlock.Released || e.Err != nil):
		redlock.Log(d.log)(e)
	}
}

// overlaps reports whether a tick is skipped because the run of another tick has not
// ended. A refusal for the same tick is normal.
func overlaps(e redlock.Event) bool {
	return e.Kind == redlock.Refused && errors.Is(e.Err, redlock.ErrTaken) && !e.Tick.IsZero() && !redlock.TickOf(e.Holder).Equal(e.Tick)
}

// inFile adds the file's name to each problem.
func inFile(name string, err error) error {
	var problems crontab.Problems
	if !errors.As(err, &problems) {
		return fmt.Errorf("%s: %w", name, err)
	}
	all := make([]string, len(problems))
	for i, p := range problems {
		all[i] = name + ": " + p.Error()
	}
	return errors.New(strings.Join(all, "\n"))
}
