package main

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

func newPause(t *target) *cobra.Command {
	var p inspect.Pause
	c := t.queryName((*inspect.Inspector).Jobs, &cobra.Command{
		Use:   "pause NAME",
		Short: "Begin no run of a job, on the whole fleet",
		Long: `pause keeps all replicas from running ticks of the job NAME, until --for has passed
or "redtick resume NAME". Ticks that come during the pause are skipped. A run in
progress goes on. Locks and leaderships of the name are not affected. A new pause
replaces the one before.

The pause takes effect once a majority of the nodes has it.

Exit codes
  0   paused
  2   no majority of the nodes answers; those that do may have paused it

JSON: as "redtick show -o json", with the pause in paused.`,
		Example: `  redtick pause report --for 2h --why "database migration"
  redtick pause report`,
	}, func(q *query, name string) error {
		p.By = cmp.Or(p.By, me())
		return q.change("paused", name, q.Pause(q.ctx, name, p))
	})
	c.Flags().DurationVar(&p.For, "for", 0, "for how long; 0 is until it is resumed")
	c.Flags().StringVar(&p.Why, "why", "", "the reason, which refused claims give")
	c.Flags().StringVar(&p.By, "by", "", "who pauses it (default user@host)")
	return c
}

func newResume(t *target) *cobra.Command {
	return t.queryName((*inspect.Inspector).Jobs, &cobra.Command{
		Use:   "resume NAME",
		Short: "End the pause of a job",
		Long: `resume ends the pause of the job NAME. Its next tick runs.

Exit codes
  0   resumed, or it was not paused
  2   not all nodes answered; those that did have resumed it

JSON: as "redtick show -o json", in which paused is null.`,
		Example: `  redtick resume report`,
	}, func(q *query, name string) error { return q.change("resumed", name, q.Resume(q.ctx, name)) })
}

// change prints the state of a job that was paused or resumed, as done says, unless that failed.
func (q *query) change(done, name string, failure error) error {
	if failure != nil {
		return failure
	}
	view, err := q.look(name)
	if err != nil {
		return fmt.Errorf("%s %q, but its state cannot be read: %w", done, name, err)
	}
	if err := q.answer(view, "%q %s", name, pauseState(view.info, time.Now())); err != nil {
		return err
	}
	if !ran(view.info) {
		_, _ = fmt.Fprintf(q.notes, "note: no run of a job %q is remembered; %s. "+
			"Tasks under asynqadapter.OncePerTick are paused by their queue, not by name.\n", name, rightName)
	}
	return nil
}

const rightName = "check the name and the prefix (redtick ls)"

// ran reports whether more than a pause is known of a job.
func ran(info *inspect.Info) bool {
	return !info.LastTick.IsZero() || info.LastRun != nil || info.Token != ""
}

func pauseState(info *inspect.Info, now time.Time) string {
	if info.Paused == nil {
		return "is not paused"
	}
	text := "is paused" + pauseText(info.Paused, now)
	if info.Token != "" {
		text += "; the run of " + printable(info.Holder) + " goes on"
	}
	return text
}

// pauseText says who paused a job, until when and why.
func pauseText(p *inspect.Pause, now time.Time) string {
	text := " until it is resumed"
	if p.For > 0 {
		text = " until " + when(now.Add(p.For).Round(time.Second), now)
	}
	if p.By != "" {
		text = " by " + printable(p.By) + text
	}
	if p.Why != "" {
		text += ": " + printable(p.Why)
	}
	return text
}

// pauseView is a pause in JSON.
type pauseView struct {
	By  string  `json:"by"`
	Why string  `json:"why"`
	For float64 `json:"for_ms"`
}

func newPauseView(p *inspect.Pause) *pauseView {
	if p == nil {
		return nil
	}
	return &pauseView{p.By, p.Why, milliseconds(p.For)}
}

func me() string {
	host, _ := os.Hostname()
	name := "?"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return name + "@" + host
}
