package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// forgetting is the forget command.
type forgetting struct {
	inspection
	force bool
}

func newForget(t *target) *cobra.Command {
	r := &forgetting{inspection: inspection{target: t}}
	c := &cobra.Command{
		Use:   "forget NAME",
		Short: "Delete what the nodes remember of a removed job",
		Long: `forget deletes what the nodes remember of NAME: its runs, last tick, fence and pause.
It is for a job that was removed from the code, which would stay overdue. It
refuses a name that is held. It also refuses a job whose next tick lies ahead,
unless --force is given: if the job still exists and has WithTakeover, its last
tick may run again.

Exit codes
  0   forgotten
  1   nothing was forgotten: the name is held, or the job is due later
  2   not all nodes answered: those that did have forgotten it, unless the
      message says that nothing was forgotten
  64  the command line is wrong

JSON: name, which is forgotten.`,
		Example: `  redtick forget report`,
		Args:    oneName,
		RunE:    func(c *cobra.Command, args []string) error { return r.run(c, args[0]) },
	}
	r.flags(c)
	c.Flags().BoolVar(&r.force, "force", false, "even if the job's next tick lies ahead")
	return c
}

func (r *forgetting) run(c *cobra.Command, name string) error {
	f, inspector, err := r.openFor(name)
	if err != nil {
		return err
	}
	defer f.disconnect()
	info, err := inspector.Show(c.Context(), name)
	if err != nil {
		return fmt.Errorf("nothing was forgotten: %w", err)
	}
	runs, err := inspector.Runs(c.Context(), name)
	switch {
	case err != nil:
		return fmt.Errorf("nothing was forgotten: %w", err)
	case info.Token != "":
		return exit(exitWarning, fmt.Errorf("nothing was forgotten: %s", describe(info)))
	case runs.Next.After(time.Now()) && !r.force:
		return exit(exitWarning, fmt.Errorf("nothing was forgotten: %q is due at %s; if no replica runs it any more, repeat the command with --force", name, instant(runs.Next)))
	}
	if err := inspector.Forget(c.Context(), name); err != nil {
		return err
	}
	if !ran(info) && info.Fence == 0 && info.Paused == nil {
		_, _ = fmt.Fprintf(c.ErrOrStderr(), "note: nothing was remembered of %q; %s.\n", name, rightName)
	}
	return r.answer(c, map[string]string{"name": name}, "%q is forgotten", name)
}
