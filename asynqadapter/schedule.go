package asynqadapter

import (
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/internal/ticks"
)

// schedule is a parsed spec. It is as in asynq, except that "@every d" is aligned to a
// grid that all replicas share.
type schedule struct {
	activations cron.Schedule
	location    *time.Location
}

func parseSpec(spec string, location *time.Location) (schedule, error) {
	activations, err := ticks.Parse(cron.ParseStandard, spec)
	if err != nil {
		return schedule{}, invalid("spec %q: %v; it is five fields, \"@daily\" and the like, or \"@every 10s\"", spec, err)
	}
	every, ok := activations.(cron.ConstantDelaySchedule)
	if !ok {
		return schedule{activations, location}, nil
	}
	_, text, _ := strings.Cut(spec, "@every ")
	if d, _ := time.ParseDuration(text); d != every.Delay { // robfig rounds it
		return schedule{}, invalid("spec %q: the interval is %v, must be whole seconds and at least 1s", spec, d)
	}
	return schedule{ticks.Grid(every.Delay), time.UTC}, nil
}

// after returns the first tick after t, or zero when there is none within five years.
// Ticks are in UTC, because 01:30 may come twice on an autumn night, and both are
// ticks.
func (s schedule) after(t time.Time) time.Time {
	return s.activations.Next(t.Round(0).In(s.location)).UTC()
}

// upTo returns the newest tick that is not after t, or zero when there was none in ten years.
func (s schedule) upTo(t time.Time) time.Time {
	return ticks.Newest(s.after, t, 10*366*24*time.Hour)
}

// tickHeader is where a [Stamp] puts the tick.
const tickHeader = "redtick-tick"

// TickOf returns the tick, in UTC, for which a [Scheduler] or a [Stamp] enqueued a
// handler's task. It reports whether there is one. It reads the tick from the task's ID
// if that ends in "@" and an RFC 3339 time, even an ID of the caller's. A tick is a natural
// fence for writes such as "where last_tick < :tick".
func TickOf(task *asynq.Task) (tick time.Time, ok bool) {
	if text, stamped := task.Headers()[tickHeader]; stamped {
		return parseTick(text)
	}
	if w := task.ResultWriter(); w != nil {
		id := w.TaskID()
		if at := strings.LastIndexByte(id, '@'); at >= 0 {
			return parseTick(id[at+1:])
		}
	}
	return time.Time{}, false
}

// withTick returns the task ID, or the mutex's name, for one tick. Ticks of a schedule
// are whole seconds, those of triggers are not.
func withTick(name string, tick time.Time) string { return name + "@" + formatTick(tick) }

func formatTick(tick time.Time) string { return tick.UTC().Format(time.RFC3339Nano) }

func parseTick(text string) (time.Time, bool) {
	tick, err := time.Parse(time.RFC3339, text)
	return tick.UTC(), err == nil
}
