package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

// triggering is the trigger command.
type triggering struct {
	inspection
	by string
}

// triggerView is a triggered run. It is encoded as JSON.
type triggerView struct {
	Name   string `json:"name"`
	Tick   string `json:"tick"`
	Holder string `json:"holder"`
	Token  string `json:"token"`
}

func newTrigger(t *target) *cobra.Command {
	r := &triggering{inspection: inspection{target: t}}
	c := &cobra.Command{
		Use:   "trigger NAME",
		Short: "Run a job now, once in the fleet",
		Long: `trigger makes one replica run the job NAME now, once in the fleet. The schedule goes
on: only a tick that comes during this run is skipped. trigger returns once a
replica has begun, and waits up to 3 s for that; "redtick runs NAME" has the result.

It works for jobs of "redtick cron", and of services whose adapter was given
WithTriggers. The --prefix must be theirs.

Exit codes
  0   a replica has begun it
  1   no run was begun: the job is paused or already runs, or no replica with this
      job listens
  2   no majority of the nodes answers
  64  the command line is wrong

JSON: name, tick, holder, token. The tick is in RFC 3339.`,
		Example: `  redtick trigger report
  redtick trigger report && sleep 60 && redtick runs report`,
		Args: oneName,
		RunE: func(c *cobra.Command, args []string) error { return r.run(c, args[0]) },
	}
	r.flags(c)
	c.Flags().StringVar(&r.by, "by", "", "who asks for it, for the replicas' logs (default user@host)")
	return c
}

func (r *triggering) run(c *cobra.Command, name string) error {
	f, inspector, err := r.openFor(name)
	if err != nil {
		return err
	}
	defer f.disconnect()
	if r.by == "" {
		r.by = me()
	}
	run, err := inspector.Trigger(c.Context(), name, r.by)
	switch {
	case errors.Is(err, redlock.ErrPaused), errors.Is(err, redlock.ErrTaken), errors.Is(err, inspect.ErrNotTriggered):
		return exit(exitWarning, err)
	case err != nil:
		return err
	}
	tick := instant(run.Tick)
	return r.answer(c, triggerView{name, tick, run.Holder, run.Token}, "%q runs on %s, tick %s", name, printable(run.Holder), tick)
}
