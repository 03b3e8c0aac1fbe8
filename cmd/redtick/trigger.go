package main

import (
	"cmp"
	"errors"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

func newTrigger(t *target) *cobra.Command {
	var by string
	c := t.queryName((*inspect.Inspector).Jobs, &cobra.Command{
		Use:   "trigger NAME",
		Short: "Run a job now, once in the fleet",
		Long: `trigger makes one replica run the job NAME now, once in the fleet. The schedule goes
on: only a tick that comes during this run is skipped. trigger returns once a
replica has begun, and waits up to 3 s for that, or twice as long if a node does not
answer; "redtick runs NAME" has the result.

It works for jobs of "redtick cron", and of services whose adapter was given
WithTriggers. The --prefix must be theirs.

Exit codes
  0   a replica has begun it
  1   no run was begun: the job is paused or already runs, or no replica with this
      job listens
  2   no majority of the nodes answers

JSON: name, tick, holder, token. The tick is in RFC 3339.`,
		Example: `  redtick trigger report
  redtick trigger report && sleep 60 && redtick runs report`,
	}, func(q *query, name string) error {
		run, err := q.Trigger(q.ctx, name, cmp.Or(by, me()))
		switch {
		case errors.Is(err, redlock.ErrPaused), errors.Is(err, redlock.ErrTaken), errors.Is(err, inspect.ErrNotTriggered):
			return exit(exitWarning, err)
		case err != nil:
			return err
		}
		tick := instant(run.Tick)
		return q.answer(map[string]string{"name": name, "tick": tick, "holder": run.Holder, "token": run.Token},
			"%q runs on %s, tick %s", name, printable(run.Holder), tick)
	})
	c.Flags().StringVar(&by, "by", "", "who asks for it, for the replicas' logs (default user@host)")
	return c
}
