package main

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

func newShow(t *target) *cobra.Command {
	i := &inspection{target: t}
	c := &cobra.Command{
		Use:   "show NAME",
		Short: "Show everything about one name",
		Long: `show prints the state of NAME, as "redtick ls" does, its holder and for how long,
the tick that is running, the last tick and who claimed it, the next tick or the
pause, the highest fence, how many wait, and what each node has. A name that was
never used is free.

Exit codes
  0   shown, be it held or free
  2   no majority of the nodes answers; what the others know is shown
  64  the command line is wrong

JSON: as one of the names of "redtick ls -o json".`,
		Example: `  redtick show report
  redtick show report -o json | jq -r .token`,
		Args: oneName,
		RunE: func(c *cobra.Command, args []string) error {
			return i.show(c.Context(), c.OutOrStdout(), args[0])
		},
	}
	i.flags(c)
	return c
}

func (i *inspection) show(ctx context.Context, w io.Writer, name string) error {
	f, inspector, err := i.openFor(name)
	if err != nil {
		return err
	}
	defer f.disconnect()
	view, err := look(ctx, inspector, name)
	if i.json {
		return errors.Join(writeJSON(w, view), err)
	}
	return errors.Join(view.write(w, time.Now()), err)
}

func (v *nameView) write(w io.Writer, now time.Time) error {
	t := table{{"name", shown(v.Name)}, {"state", v.State}}
	if v.Held {
		t.row("holder", v.Holder)
		t.row("token", v.Token)
		if v.info.Remaining > 0 {
			t.row("remaining", rounded(v.info.Remaining)+" unless renewed")
		} else {
			t.row("remaining", "no TTL: it does not expire; see redtick release --help")
		}
	} else {
		t.row("holder", "-")
	}
	if !v.Held && v.votes() != "-" {
		t.row("votes", v.votes()+": fewer than a majority, so nobody holds it")
	}
	if v.Tick != nil {
		t.row("runs tick", when(v.info.Tick, now))
	}
	if v.LastTick != nil {
		t.row("last tick", when(*v.LastTick, now))
		t.row("claimed by", orDash(v.LastHolder))
	}
	if last := v.info.LastRun; last != nil {
		t.row("last run", runText(last, now))
		if ended := lastEnded(v.runs); ended != nil && last.Result == inspect.Running {
			t.row("run before", runText(ended, now))
		}
	}
	switch {
	case v.info.Paused != nil:
		t.row("paused", strings.TrimSpace(pauseText(v.info.Paused, now)))
	case v.runs != nil && !v.runs.Next.IsZero():
		t.row("next tick", when(v.runs.Next, now))
	}
	if v.Fence != 0 {
		t.row("fence", strconv.FormatInt(v.Fence, 10))
	}
	t.row("waiters", strconv.Itoa(v.Waiters))
	for _, vote := range v.info.Votes {
		t.row("node "+vote.Node, voteText(vote))
	}
	return t.write(w)
}

func runText(r *inspect.Run, now time.Time) string {
	return r.Result + " on " + r.Holder + ", tick " + when(r.Tick, now)
}

func voteText(vote inspect.Vote) string {
	switch {
	case vote.Err != nil:
		return outBecause(vote.Err)
	case vote.Token == "":
		return "free"
	case vote.Remaining == 0:
		return "held by " + redlock.HolderOf(vote.Token) + ", without a TTL"
	}
	return "held by " + redlock.HolderOf(vote.Token) + " for " + rounded(vote.Remaining)
}
