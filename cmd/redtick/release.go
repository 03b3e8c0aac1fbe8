package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

// releasing is the release command.
type releasing struct {
	inspection
	token string
}

func newRelease(t *target) *cobra.Command {
	r := &releasing{inspection: inspection{target: t}}
	c := &cobra.Command{
		Use:   "release NAME",
		Short: "Take a name away from its holder",
		Long: `release takes NAME away from its holder, on all nodes. --token is the holder's, so
that a lock which somebody else has by now is not touched. Without it, release
shows the holder and its token, and releases nothing.

The holder learns of it at its next renewal (after a third of its TTL), and until
then two may be at work. Stop the holder first if that does harm. A tick stays
claimed.

Exit codes
  0   released
  1   nothing was released: the name is free, or --token is missing or not the holder's
  2   no majority of the nodes answers: those that do may have released it, unless
      the message says that nothing was released
  64  the command line is wrong`,
		Example: `  redtick release report
  redtick release report --token "$(redtick show report -o json | jq -r .token)"`,
		Args: oneName,
		RunE: func(c *cobra.Command, args []string) error { return r.run(c, args[0]) },
	}
	r.flags(c)
	c.Flags().StringVar(&r.token, "token", "", "the holder's token, as show prints it")
	return c
}

func (r *releasing) run(c *cobra.Command, name string) error {
	f, inspector, err := r.openFor(name)
	if err != nil {
		return err
	}
	defer f.disconnect()
	info, err := inspector.Show(c.Context(), name)
	if err != nil {
		return fmt.Errorf("nothing was released: %w", err)
	}
	if !c.Flags().Changed("token") {
		text := "nothing was released: " + describe(info)
		if info.Token != "" {
			text += "; repeat the command with --token to release it"
		}
		return exit(exitWarning, errors.New(text))
	}
	err = inspector.Release(c.Context(), name, r.token)
	switch {
	case errors.Is(err, redlock.ErrLost):
		return exit(exitWarning, fmt.Errorf("nothing was released: the token is not that of the holder; %s", describe(info)))
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%q is released; it was held by %s\n", name, printable(redlock.HolderOf(r.token)))
	return err
}

func describe(info *inspect.Info) string {
	if info.Token == "" {
		return fmt.Sprintf("%q is free", info.Name)
	}
	return fmt.Sprintf("%q is held by %s, whose token is %s", info.Name, printable(info.Holder), printable(info.Token))
}
