package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

func newRuns(t *target) *cobra.Command {
	i := &inspection{target: t}
	c := &cobra.Command{
		Use:   "runs NAME",
		Short: "What came of a job's runs, and when is it due?",
		Long: `runs lists the last runs of the job NAME, the newest first: the tick in UTC and how
long ago it was, who ran it, how late it began by that replica's clock, how long
it took (of one that goes on, has taken), and what came of it.
A tick with two runs was taken over, or retried.

  running    it goes on
  ok         it returned without an error
  ended      it came to its end; the program does not say how
  failed     it returned an error, whose beginning is shown
  panicked   it panicked
  lost       it ended, but its lease was lost before: it may have run beside another
  abandoned  its tick was left to others
  vanished   its end was never reported: the process died, or was cut off

Above them is the schedule and the next tick, where the services say so (the
adapters do). A job is overdue when that tick should have run 10 s ago. One that
is gone from the code stays overdue until "redtick forget NAME".

The nodes remember the last 20 runs (WithHistory), for 35 days after the last
one and for three intervals of the schedule.

Exit codes
  0   shown, and all is well; or the job is paused and has no runs
  1   shown: the job is overdue, its newest run failed, panicked, was lost or vanished,
      or no run is remembered, as of a name that is spelled wrong
  2   no majority of the nodes answers; what the others know is shown
  64  the command line is wrong

JSON: name, schedule, next, overdue_ms, paused as in "redtick ls -o json", runs
[tick, holder, token, began, late_ms, took_ms, result, error]. Times are RFC 3339
or null.`,
		Example: `  redtick runs report
  redtick runs report -o json | jq -r '.runs[] | select(.result == "failed") | .error'`,
		Args: oneName,
		RunE: func(c *cobra.Command, args []string) error {
			return i.runs(c.Context(), c.OutOrStdout(), args[0])
		},
	}
	i.flags(c)
	return c
}

// runsView is a job's history, in JSON as it stands.
type runsView struct {
	Name     string     `json:"name"`
	Schedule string     `json:"schedule"`
	Next     *time.Time `json:"next"`
	Overdue  float64    `json:"overdue_ms"`
	Paused   *pauseView `json:"paused"`
	Runs     []runView  `json:"runs"`
	overdue  time.Duration
	paused   *inspect.Pause
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
	v := &runsView{Name: r.Name, Schedule: r.Schedule, Next: known(r.Next), overdue: r.Overdue(now), paused: r.Paused, Paused: newPauseView(r.Paused), Runs: []runView{}}
	v.Overdue = milliseconds(v.overdue)
	for _, run := range r.Runs {
		v.Runs = append(v.Runs, runView{run.Tick, run.Holder, run.Token, run.Began, milliseconds(run.Began.Sub(run.Tick)),
			milliseconds(run.Took), run.Result, run.Error})
	}
	return v
}

func (i *inspection) runs(ctx context.Context, w io.Writer, name string) error {
	f, inspector, err := i.openFor(name)
	if err != nil {
		return err
	}
	defer f.disconnect()
	runs, err := inspector.Runs(ctx, name)
	view := newRunsView(runs, time.Now())
	write := func() error { return view.write(w, time.Now(), err) }
	if i.json {
		write = func() error { return writeJSON(w, view) }
	}
	if err := errors.Join(write(), err); err != nil {
		return err
	}
	if !view.well() {
		return exit(exitWarning, nil)
	}
	return nil
}

// well reports whether nobody needs to look after the job.
func (v *runsView) well() bool {
	if v.overdue > 0 {
		return false
	}
	if len(v.Runs) == 0 {
		return v.paused != nil // a name that nobody runs is perhaps a wrong one
	}
	switch v.Runs[0].Result {
	case "failed", "panicked", "lost", inspect.Vanished:
		return false
	}
	return true
}

// write says that there are no runs only if a majority of the nodes does.
func (v *runsView) write(w io.Writer, now time.Time, failure error) error {
	switch none := "no run is remembered"; {
	case len(v.Runs) == 0 && failure != nil:
		return nil
	case len(v.Runs) == 0:
		if v.paused != nil {
			none += "; paused" + pauseText(v.paused, now)
		} else {
			none += "; if the job has run, " + rightName + ", and that it has a history"
		}
		_, err := fmt.Fprintf(w, "%s: %s\n", shown(v.Name), none)
		return err
	}
	if due := v.due(now); due != "" {
		fmt.Fprintf(w, "%s: %s\n", shown(v.Name), printable(due))
	}
	t := table{{"TICK", "LOCAL TIME", "AGE", "REPLICA", "LATE BY", "TOOK", "RESULT"}}
	for _, r := range v.Runs {
		took, result := "-", r.Result
		switch r.Result {
		case inspect.Vanished:
		case inspect.Running:
			took = coarse(max(now.Sub(r.Began), 0))
		default:
			took = rounded(time.Duration(r.Took * float64(time.Millisecond)))
		}
		if r.Error != "" {
			result += ": " + r.Error
		}
		t.row(instant(r.Tick), local(r.Tick), away(r.Tick, now), r.Holder, rounded(r.Began.Sub(r.Tick)), took, result)
	}
	return t.without("LOCAL TIME").write(w)
}

// due is the schedule and what it says of now.
func (v *runsView) due(now time.Time) string {
	text := v.Schedule
	switch {
	case v.paused != nil:
		return strings.TrimPrefix(text+"; paused", "; ") + pauseText(v.paused, now)
	case v.Next == nil:
		return text
	case text != "":
		text += "; "
	}
	switch left := v.Next.Sub(now); {
	case v.overdue > 0:
		return text + "overdue: the tick " + when(*v.Next, now) + " was not run"
	case left > 0:
		return text + "next tick " + when(*v.Next, now)
	}
	return text + "the tick " + when(*v.Next, now) + " is due"
}
