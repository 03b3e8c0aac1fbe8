package main

import (
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
	return t.queryName((*inspect.Inspector).Names, &cobra.Command{
		Use:   "show NAME",
		Short: "Show everything about one name",
		Long: `show prints the state of NAME, as "redtick ls" does, its holder and for how long,
the tick that is running, the last tick and who claimed it, the next tick or the
pause, the highest fence, how many wait, and what each node has. A name that was
never used is free.

Exit codes
  0   shown, be it held or free
  2   no majority of the nodes answers; what the others know is shown

JSON: as one of the names of "redtick ls -o json".`,
		Example: `  redtick show report
  redtick show report -o json | jq -r .token`,
	}, func(q *query, name string) error {
		view, err := q.look(name)
		return errors.Join(q.print(view, func(w io.Writer) error { return view.write(w, time.Now()) }), err)
	})
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
		if ended := v.runs.LastEnded(); ended != nil && last.Result == inspect.Running {
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
