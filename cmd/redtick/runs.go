package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

func newRuns(t *target) *cobra.Command {
	return t.queryName((*inspect.Inspector).Jobs, &cobra.Command{
		Use:   "runs NAME",
		Short: "Show a job's last runs, and when it is due",
		Long: `runs lists the last runs of the job NAME, the newest first: the tick in UTC and its
age, the replica, how late the run began by that replica's clock, how long it took
(or has taken so far), and its result. A tick with two runs was taken over, or
retried.

  running    it has not ended
  ok         it returned without an error
  ended      it ended; the program did not report how
  failed     it returned an error, whose beginning is shown
  panicked   it panicked
  lost       it ended after its lease was lost: it may have overlapped another run
  abandoned  it left its tick to other replicas
  vanished   its end was never reported: the process died, or was cut off

The first line has the schedule and the next tick, if the services report them (the
adapters do). A job is overdue 10 s after a tick that did not run, unless a pause or
an earlier run skipped it. A job that was removed from the code stays overdue until
"redtick forget NAME".

The nodes remember the last 20 runs (WithHistory), for at least 35 days and three
intervals of the schedule after the last one.

Exit codes
  0   all is well; or the job is paused and has no runs
  1   the job is overdue, the newest run that has ended failed, panicked, was lost or
      vanished, or no run is remembered, as for a name that is spelled wrong
  2   no majority of the nodes answers; what the others know is shown

JSON: name, schedule, next, overdue_ms, paused as in "redtick ls -o json", runs
[tick, holder, token, began, late_ms, took_ms, result, error]. Times are RFC 3339
or null.`,
		Example: `  redtick runs report
  redtick runs report -o json | jq -r '.runs[] | select(.result == "failed") | .error'`,
	}, func(q *query, name string) error {
		runs, err := q.Runs(q.ctx, name)
		now := time.Now()
		err = errors.Join(q.print(newRunsView(runs, now), func(w io.Writer) error { return writeRuns(w, runs, now, err) }), err)
		if err == nil && !well(runs, now) {
			return exit(exitWarning, nil)
		}
		return err
	})
}

// runsView is a job's history. It is encoded as JSON.
type runsView struct {
	Name     string     `json:"name"`
	Schedule string     `json:"schedule"`
	Next     *time.Time `json:"next"`
	Overdue  float64    `json:"overdue_ms"`
	Paused   *pauseView `json:"paused"`
	Runs     []runView  `json:"runs"`
}

type runView struct {
	Tick   time.Time `json:"tick"`
	Holder string    `json:"holder"`
	Token  string    `json:"token"`
	Began  time.Time `json:"began"`
	Late   float64   `json:"late_ms"`
	Took   float64   `json:"took_ms"`
	Result string    `json:"result"`
	Error  string    `json:"error"`
}

func newRunsView(r *inspect.Runs, now time.Time) *runsView {
	v := &runsView{Name: r.Name, Schedule: r.Schedule, Next: known(r.Next), Overdue: milliseconds(r.Overdue(now)), Paused: newPauseView(r.Paused), Runs: []runView{}}
	for _, run := range r.Runs {
		v.Runs = append(v.Runs, runView{run.Tick, run.Holder, run.Token, run.Began, milliseconds(run.Began.Sub(run.Tick)),
			milliseconds(took(run, now)), run.Result, run.Error})
	}
	return v
}

// took returns how long a run took, or has taken so far; 0 for one that vanished.
func took(r inspect.Run, now time.Time) time.Duration {
	if r.Result == inspect.Running {
		return max(now.Sub(r.Began), 0)
	}
	return r.Took
}

// well reports whether the job needs no attention.
func well(r *inspect.Runs, now time.Time) bool {
	if r.Overdue(now) > 0 {
		return false
	}
	if len(r.Runs) == 0 {
		return r.Paused != nil // a name without runs may be misspelled
	}
	last := r.LastEnded()
	return last == nil || !last.WentWrong()
}

func writeRuns(w io.Writer, runs *inspect.Runs, now time.Time, failure error) error {
	if len(runs.Runs) == 0 {
		return writeNoRuns(w, runs, now, failure)
	}
	if due := due(runs, now); due != "" {
		fmt.Fprintf(w, "%s: %s\n", shown(runs.Name), printable(due))
	}
	t := table{{"TICK", "LOCAL TIME", "AGE", "REPLICA", "LATE BY", "TOOK", "RESULT"}}
	for _, r := range runs.Runs {
		text, result := rounded(took(r, now)), r.Result
		switch r.Result {
		case inspect.Vanished:
			text = "-"
		case inspect.Running:
			text = coarse(took(r, now))
		}
		if r.Error != "" {
			result += ": " + r.Error
		}
		t.row(instant(r.Tick), local(r.Tick), away(r.Tick, now), r.Holder, rounded(r.Began.Sub(r.Tick)), text, result)
	}
	return t.write(w)
}

// writeNoRuns reports that there are none only if a majority of the nodes answered.
func writeNoRuns(w io.Writer, runs *inspect.Runs, now time.Time, failure error) error {
	if failure != nil {
		return nil
	}
	text := "; if the job has run, " + rightName + ", and that it has a history"
	if runs.Paused != nil {
		text = "; paused" + pauseText(runs.Paused, now)
	}
	_, err := fmt.Fprintf(w, "%s: no run is remembered%s\n", shown(runs.Name), text)
	return err
}

// due returns the schedule, and when the job is due or for how long it is overdue or paused.
func due(r *inspect.Runs, now time.Time) string {
	text := r.Schedule
	switch {
	case r.Paused != nil:
		return strings.TrimPrefix(text+"; paused", "; ") + pauseText(r.Paused, now)
	case r.Next.IsZero():
		return text
	case text != "":
		text += "; "
	}
	switch tick := when(r.Next, now); {
	case r.Overdue(now) > 0:
		return text + "overdue: the tick " + tick + " was not run"
	case r.Next.After(now):
		return text + "next tick " + tick
	default:
		return text + "the tick " + tick + " is due"
	}
}
