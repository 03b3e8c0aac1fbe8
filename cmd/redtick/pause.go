package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

// pausing is the pause command.
type pausing struct {
	inspection
	inspect.Pause
}

func newPause(t *target) *cobra.Command {
	p := &pausing{inspection: inspection{target: t}}
	c := &cobra.Command{
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
  64  the command line is wrong

JSON: as "redtick show -o json", with the pause in paused.`,
		Example: `  redtick pause report --for 2h --why "database migration"
  redtick pause report`,
		Args: oneName,
		RunE: func(c *cobra.Command, args []string) error { return p.run(c, args[0]) },
	}
	p.flags(c)
	c.Flags().DurationVar(&p.For, "for", 0, "for how long; 0 is until it is resumed")
	c.Flags().StringVar(&p.Why, "why", "", "the reason, which refused claims give")
	c.Flags().StringVar(&p.By, "by", "", "who pauses it (default user@host)")
	return c
}

func (p *pausing) run(c *cobra.Command, name string) error {
	if p.By == "" {
		p.By = me()
	}
	return p.change(c, "paused", name, func(ctx context.Context, inspector *inspect.Inspector) error {
		return inspector.Pause(ctx, name, p.Pause)
	})
}

func newResume(t *target) *cobra.Command {
	i := &inspection{target: t}
	c := &cobra.Command{
		Use:   "resume NAME",
		Short: "End the pause of a job",
		Long: `resume ends the pause of the job NAME. Its next tick runs.

Exit codes
  0   resumed, or it was not paused
  2   not all nodes answered; those that did have resumed it
  64  the command line is wrong

JSON: as "redtick show -o json", in which paused is null.`,
		Example: `  redtick resume report`,
		Args:    oneName,
		RunE: func(c *cobra.Command, args []string) error {
			return i.change(c, "resumed", args[0], func(ctx context.Context, inspector *inspect.Inspector) error {
				return inspector.Resume(ctx, args[0])
			})
		},
	}
	i.flags(c)
	return c
}

// change pauses or resumes a job, as done says, then prints its state.
func (i *inspection) change(c *cobra.Command, done, name string, do func(context.Context, *inspect.Inspector) error) error {
	f, inspector, err := i.openFor(name)
	if err != nil {
		return err
	}
	defer f.disconnect()
	if err := do(c.Context(), inspector); err != nil {
		return err
	}
	view, err := look(c.Context(), inspector, name)
	if err != nil {
		return fmt.Errorf("%s %q, but its state cannot be read: %w", done, name, err)
	}
	if err := i.answer(c, view, "%q %s", name, pauseState(view.info, time.Now())); err != nil {
		return err
	}
	if !ran(view.info) {
		_, _ = fmt.Fprintf(c.ErrOrStderr(), "note: no run of a job %q is remembered; %s. "+
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
	switch {
	case info.Paused == nil:
		return "is not paused"
	case info.Token != "":
		return "is paused" + pauseText(info.Paused, now) + "; the run of " + printable(info.Holder) + " goes on"
	}
	return "is paused" + pauseText(info.Paused, now)
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
	name := "?"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}
