package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

// completion asks the nodes which names there are, but not for long: somebody has pressed Tab and waits.
type completion struct {
	*target
	list func(*inspect.Inspector, context.Context, string, int) ([]string, bool, error)
}

const (
	mostCompletions = 1000
	tabPatience     = time.Second
)

// completeNames has Tab complete the first argument of each of the commands.
func completeNames(t *target, commands map[*cobra.Command]bool) {
	for c, onlyJobs := range commands {
		names := &completion{t, (*inspect.Inspector).Names}
		if onlyJobs {
			names.list = (*inspect.Inspector).Jobs
		}
		c.ValidArgsFunction = func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return names.complete(typed)
		}
	}
}

// complete is silent when the nodes cannot be asked: words on the terminal would be in the way of what is typed.
func (n *completion) complete(typed string) (names []string, _ cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*tabPatience)
	defer cancel()
	i := inspection{target: n.target, timeout: tabPatience, format: "text"}
	f, inspector, err := i.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer f.disconnect()
	all, _, _ := n.list(inspector, ctx, typed, mostCompletions)
	for _, name := range all {
		if printable(name) == name && !strings.Contains(name, "\t") { // a shell could not show the others
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
