package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

// inspection holds what all commands except run and cron share.
type inspection struct {
	*target
	timeout time.Duration
	json    bool
	format  string
}

func (i *inspection) flags(c *cobra.Command) {
	c.Flags().DurationVar(&i.timeout, "timeout", time.Second, "how long to wait for a node that does not answer (100ms to 1m)")
	c.Flags().StringVarP(&i.format, "output", "o", "text", "text or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// open also checks the flags.
func (i *inspection) open() (*fleet, *inspect.Inspector, error) {
	if i.timeout < 100*time.Millisecond || i.timeout > time.Minute {
		return nil, nil, usage("--timeout is %v, must be 100ms to 1m; the default, 1s, suits most networks", i.timeout)
	}
	if i.format != "text" && i.format != "json" {
		return nil, nil, usage("--output is %q, must be text or json", i.format)
	}
	i.json = i.format == "json"
	// The client's timeout is longer than the inspector's, at which a silent node
	// counts as out: so it is waited for once, and further queries to it fail at
	// once. Bootstrap waits for 5 s.
	f, err := i.target.open(2 * max(i.timeout, 5*time.Second))
	if err != nil {
		return nil, nil, err
	}
	inspector, err := inspect.New(f.nodes, inspect.WithPrefix(i.target.prefix), inspect.WithTimeout(i.timeout))
	return f, inspector, err
}

// answer writes v as JSON if that is asked for, otherwise a line of text.
func (i *inspection) answer(c *cobra.Command, v any, format string, args ...any) error {
	if i.json {
		return writeJSON(c.OutOrStdout(), v)
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), format+"\n", args...)
	return err
}

// openFor is like open, but rejects a name that cannot be locked.
func (i *inspection) openFor(name string) (*fleet, *inspect.Inspector, error) {
	f, inspector, err := i.open()
	if err != nil {
		return f, inspector, err
	}
	if err := f.locker.CheckName(name); err != nil {
		f.disconnect()
		return nil, nil, err
	}
	return f, inspector, nil
}
