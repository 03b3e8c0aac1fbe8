package inspect

import "time"

// States of a name, besides the results of a [Run].
const (
	// Paused is a job that is paused.
	Paused = "paused"
	// Overdue is a job whose next tick should have run; see [Runs.Overdue].
	Overdue = "overdue"
	// Waiting is a job without a remembered run.
	Waiting = "waiting"
	// Held and Free are states of names that are not jobs.
	Held = "held"
	Free = "free"
)

// State returns one word for the state of a name. For a job it is [Paused] or
// [Overdue], otherwise the result of the newest run that has ended, otherwise
// [Running] or [Waiting]. For any other name it is [Held] or [Free]. runs is nil if
// the name has no history.
func State(info *Info, runs *Runs, now time.Time) string {
	var ended *Run
	if runs != nil {
		ended = runs.LastEnded()
	}
	isJob := !info.Tick.IsZero() || !info.LastTick.IsZero() || info.LastRun != nil
	switch {
	case info.Paused != nil:
		return Paused
	case runs != nil && runs.Overdue(now) > 0:
		return Overdue
	case ended != nil:
		return ended.Result
	case runs == nil && isJob && info.Tick.IsZero():
		return "ended"
	case isJob && info.Token != "":
		return Running
	case isJob:
		return Waiting
	case info.Token != "":
		return Held
	}
	return Free
}
