package main

import (
	"github.com/spf13/cobra"
)

func newBootstrap(t *target) *cobra.Command {
	c := t.query(&cobra.Command{
		Use:   "bootstrap",
		Short: "Declare new nodes fresh, for services with a restart guard",
		Long: `bootstrap is for services that use WithRestartGuard. It declares that new nodes have
no votes to forget, so that they vote at once. Without it they abstain for the
longest TTL, like a node that may have forgotten its votes. Run it once when the
servers are new, or right before the guard is first turned on. Running it at every
start would defeat the guard. A node that has voted under a guard, or that may
evict keys, refuses.

Exit codes
  0   all nodes are declared fresh
  1   a node refused, or did not answer; the others are declared fresh

JSON: nodes (how many vote from now on).`,
		Example: `  redtick bootstrap`,
		Args:    cobra.NoArgs,
	}, func(q *query, _ string) error {
		if err := q.Bootstrap(q.ctx); err != nil {
			return exit(exitWarning, err)
		}
		return q.answer(map[string]int{"nodes": len(q.fleet.nodes)}, "%s may vote from now on", count(len(q.fleet.nodes), "node"))
	})
	timeout := c.Flags().Lookup("timeout") // the inspector waits for 5 s in any case
	timeout.Usage, timeout.DefValue = "how long to wait for a node that does not answer; less than 5s is 5s", "5s"
	return c
}
