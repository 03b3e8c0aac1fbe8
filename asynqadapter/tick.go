package asynqadapter

import (
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// tickHeader is where a [Stamp] puts the tick.
const tickHeader = "redtick-tick"

// TickOf returns the scheduled instant, in UTC, that a handler's task was
// enqueued for, by a [Scheduler] or with a [Stamp]. It cannot know who chose a
// task's ID: one that ends in "@" and an RFC 3339 instant has that as its tick. It is the natural fence for
// writes of the kind "where last_tick < :tick".
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

// withTick is a task's ID, or a mutex's name, for one tick. Ticks of a schedule are whole seconds, those of triggers are not.
func withTick(name string, tick time.Time) string { return name + "@" + formatTick(tick) }

func formatTick(tick time.Time) string { return tick.UTC().Format(time.RFC3339Nano) }

func parseTick(text string) (time.Time, bool) {
	tick, err := time.Parse(time.RFC3339, text)
	return tick.UTC(), err == nil
}
