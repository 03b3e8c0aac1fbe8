package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

// query is a call of a command that asks or changes the nodes, as all but run and cron do.
type query struct {
	*target
	*inspect.Inspector
	fleet      *fleet
	ctx        context.Context
	out, notes io.Writer
	timeout    time.Duration
	format     string
	json       bool
}

// query adds the flags of a query to c, which then opens the nodes and calls do with its argument.
func (t *target) query(c *cobra.Command, do func(q *query, argument string) error) *cobra.Command {
	q := &query{target: t}
	c.Flags().DurationVar(&q.timeout, "timeout", time.Second, "how long to wait for a node that does not answer (100ms to 1m)")
	c.Flags().StringVarP(&q.format, "output", "o", "text", "text or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := q.open(); err != nil {
			return err
		}
		defer q.fleet.disconnect()
		q.ctx, q.out, q.notes = c.Context(), c.OutOrStdout(), c.ErrOrStderr()
		return do(q, strings.Join(args, ""))
	}
	return c
}

// queryName is query for a command about one name, of which Tab completes those that list finds.
func (t *target) queryName(list lister, c *cobra.Command, do func(q *query, name string) error) *cobra.Command {
	c.Args, c.ValidArgsFunction = one("name", "report"), t.completion(list)
	return t.query(c, func(q *query, name string) error {
		if err := q.fleet.locker.CheckName(name); err != nil {
			return err
		}
		return do(q, name)
	})
}

// one requires exactly one argument.
func one(what, example string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage("%s are given, must be one, as in: %s %s", count(len(args), what), c.CommandPath(), example)
		}
		return nil
	}
}

// open also checks the flags.
func (q *query) open() error {
	if q.timeout < 100*time.Millisecond || q.timeout > time.Minute {
		return usage("--timeout is %v, must be 100ms to 1m; the default, 1s, suits most networks", q.timeout)
	}
	if q.format != "text" && q.format != "json" {
		return usage("--output is %q, must be text or json", q.format)
	}
	q.json = q.format == "json"
	// The client's timeout is longer than the inspector's, at which a silent node
	// counts as out: so it is waited for once, and further queries to it fail at
	// once. Bootstrap waits for 5 s.
	f, err := q.target.open(2 * max(q.timeout, 5*time.Second))
	if err != nil {
		return err
	}
	q.fleet = f
	q.Inspector, err = inspect.New(f.nodes, inspect.WithPrefix(q.prefix), inspect.WithTimeout(q.timeout))
	return err
}

// print writes v as JSON if that is asked for, otherwise what text writes.
func (q *query) print(v any, text func(w io.Writer) error) error {
	if q.json {
		return writeJSON(q.out, v)
	}
	return text(q.out)
}

// answer writes v as JSON if that is asked for, otherwise a line of text.
func (q *query) answer(v any, format string, args ...any) error {
	return q.print(v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	})
}

const (
	mostCompletions = 1000
	tabPatience     = time.Second
)

type lister func(i *inspect.Inspector, ctx context.Context, prefix string, limit int) (names []string, more bool, err error)

// completion asks the nodes for what may complete the first argument or a flag, with a short timeout because the user
// waits. It prints no errors, which would disturb the command line being typed.
func (t *target) completion(list lister) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) (names []string, _ cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*tabPatience)
		defer cancel()
		q := query{target: t, timeout: tabPatience, format: "text"}
		if len(args) > 0 || q.open() != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer q.fleet.disconnect()
		all, _, _ := list(q.Inspector, ctx, typed, mostCompletions)
		for _, name := range all {
			if printable(name) == name && !strings.Contains(name, "\t") { // shells cannot show other names
				names = append(names, name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
