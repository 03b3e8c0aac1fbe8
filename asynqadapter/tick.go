package asynqadapter

import (
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

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
