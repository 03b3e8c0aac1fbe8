package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

const (
	mostCompletions = 1000
	tabPatience     = time.Second
)

type lister func(i *inspect.Inspector, ctx context.Context, prefix string, limit int) (names []string, more bool, err error)

// completeNames makes Tab complete the first argument of the commands with the names that list finds.
func (t *target) completeNames(list lister, commands ...*cobra.Command) {
	for _, c := range commands {
		c.ValidArgsFunction = func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return t.complete(list, typed)
		}
	}
}

// complete asks the nodes, with a short timeout because the user waits. It prints no errors, which would disturb the command
// line being typed.
func (t *target) complete(list lister, typed string) (names []string, _ cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*tabPatience)
	defer cancel()
	i := inspection{target: t, timeout: tabPatience, format: "text"}
	f, inspector, err := i.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer f.disconnect()
	all, _, _ := list(inspector, ctx, typed, mostCompletions)
	for _, name := range all {
		if printable(name) == name && !strings.Contains(name, "\t") { // shells cannot show other names
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
