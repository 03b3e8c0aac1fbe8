package inspect

import "time"

// What a name may be besides what may come of a run.
const (
	// Paused: it is a job that is paused.
	Paused = "paused"
	// Overdue: it is a job whose next tick should have been run; see [Runs.Overdue].
	Overdue = "overdue"
	// Waiting: it is a job, and no run of it is remembered.
	Waiting = "waiting"
	// Held and Free are names that are no jobs.
	Held = "held"
	Free = "free"
)

// State is one word for how a name is: [Paused] or [Overdue], else what came of
// the job's newest run that has ended, else [Running] or [Waiting]; [Held] or
// [Free] for a name that is no job. runs is nil for one without a history.
func State(info *Info, runs *Runs, now time.Time) string {
	isJob := !info.Tick.IsZero() || !info.LastTick.IsZero() || info.LastRun != nil
	switch {
	case info.Paused != nil:
		return Paused
	case runs != nil && runs.overdue(now) > 0:
		return Overdue
	case runs != nil && runs.lastEnded() != "":
		return runs.lastEnded()
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

// lastEnded is the result of the newest run that has ended, or "".
func (r *Runs) lastEnded() string {
	for _, run := range r.Runs {
		if run.Result != Running {
			return run.Result
		}
	}
	return ""
}
