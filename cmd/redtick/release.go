package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

func newRelease(t *target) *cobra.Command {
	var token string
	c := t.queryName((*inspect.Inspector).Names, &cobra.Command{
		Use:   "release NAME",
		Short: "Take a name away from its holder",
		Long: `release takes NAME away from its holder, on all nodes. --token is the holder's
token, so that a later holder keeps the lock. Without --token, release shows the
holder and asks on a terminal; elsewhere, and with -o json, it releases nothing.

The holder notices at its next renewal (within a third of its TTL). Until then two
holders may be at work: stop the first one if that does harm. A tick stays claimed.

Exit codes
  0   released
  1   nothing was released: the name is free, or the token is missing or not the holder's
  2   no majority of the nodes answers: those that do may have released it, unless
      the message says that nothing was released

JSON: name, holder and token of the released lock.`,
		Example: `  redtick release report
  redtick release report --token "$(redtick show report -o json | jq -r .token)"`,
	}, func(q *query, name string) error { return q.release(name, token) })
	c.Flags().StringVar(&token, "token", "", "the holder's token, as show prints it")
	return c
}

func (q *query) release(name, token string) error {
	info, err := q.Show(q.ctx, name)
	if err != nil {
		return fmt.Errorf("nothing was released: %w", err)
	}
	if token == "" {
		if token, err = q.ask(info); err != nil {
			return err
		}
	}
	err = q.Release(q.ctx, name, token)
	switch {
	case errors.Is(err, redlock.ErrLost):
		return exit(exitWarning, fmt.Errorf("nothing was released: the token is not the holder's; %s", describe(info)))
	case err != nil:
		return err
	}
	holder := redlock.HolderOf(token)
	return q.answer(map[string]string{"name": name, "holder": holder, "token": token}, "%q is released; it was held by %s", name, printable(holder))
}

func describe(info *inspect.Info) string {
	if info.Token == "" {
		return fmt.Sprintf("%q is free", info.Name)
	}
	return fmt.Sprintf("%q is held by %s, whose token is %s", info.Name, printable(info.Holder), printable(info.Token))
}

// ask shows the holder and returns its token if the user agrees.
func (q *query) ask(info *inspect.Info) (token string, err error) {
	if info.Token == "" {
		return "", exit(exitWarning, fmt.Errorf("nothing to release: %q is free", info.Name))
	}
	if q.json || !isTerminal(os.Stdin) || !isTerminal(os.Stdout) {
		return "", exit(exitWarning, fmt.Errorf("nothing was released: %s; repeat the command with --token to release it", describe(info)))
	}
	fmt.Fprintf(q.out, "%s\nrelease it? [y/N] ", describe(info))
	if !agreed() {
		return "", exit(exitWarning, errors.New("nothing was released"))
	}
	return info.Token, nil
}

func agreed() bool {
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}
