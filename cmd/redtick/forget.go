package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

func newForget(t *target) *cobra.Command {
	var force bool
	c := t.queryName((*inspect.Inspector).Jobs, &cobra.Command{
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

JSON: name, which is forgotten.`,
		Example: `  redtick forget report`,
	}, func(q *query, name string) error { return q.forget(name, force) })
	c.Flags().BoolVar(&force, "force", false, "even if the job's next tick lies ahead")
	return c
}

func (q *query) forget(name string, force bool) error {
	info, err := q.Show(q.ctx, name)
	if err != nil {
		return fmt.Errorf("nothing was forgotten: %w", err)
	}
	runs, err := q.Runs(q.ctx, name)
	switch {
	case err != nil:
		return fmt.Errorf("nothing was forgotten: %w", err)
	case info.Token != "":
		return exit(exitWarning, fmt.Errorf("nothing was forgotten: %s", describe(info)))
	case runs.Next.After(time.Now()) && !force:
		return exit(exitWarning, fmt.Errorf("nothing was forgotten: %q is due at %s; if no replica runs it any more, repeat the command with --force", name, instant(runs.Next)))
	}
	if err := q.Forget(q.ctx, name); err != nil {
		return err
	}
	if !ran(info) && info.Fence == 0 && info.Paused == nil {
		_, _ = fmt.Fprintf(q.notes, "note: nothing was remembered of %q; %s.\n", name, rightName)
	}
	return q.answer(map[string]string{"name": name}, "%q is forgotten", name)
}
