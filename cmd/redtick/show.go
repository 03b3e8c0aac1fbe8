package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

// nameView describes one name. It is encoded as JSON.
type nameView struct {
	Name       string     `json:"name"`
	State      string     `json:"state"`
	Held       bool       `json:"held"`
	Holder     string     `json:"holder"`
	Token      string     `json:"token"`
	Tick       *time.Time `json:"tick"`
	Remaining  float64    `json:"remaining_ms"`
	LastTick   *time.Time `json:"last_tick"`
	LastHolder string     `json:"last_holder"`
	Fence      int64      `json:"fence"`
	Waiters    int        `json:"waiters"`
	Paused     *pauseView `json:"paused"`
	Votes      []voteView `json:"votes"`
	info       *inspect.Info
	runs       *inspect.Runs
}

// voteView is what one node holds.
type voteView struct {
	Node      string  `json:"node"`
	Token     string  `json:"token"`
	Remaining float64 `json:"remaining_ms"`
	Error     string  `json:"error"`
}

// newNameView returns the view of a name. runs is nil if it has none.
func newNameView(info *inspect.Info, runs *inspect.Runs, now time.Time) nameView {
	tick, holder := info.LastTick, info.LastHolder
	if last := info.LastRun; tick.IsZero() && last != nil { // it was only triggered, or its ticks come in any order
		tick, holder = last.Tick, last.Holder
	}
	v := nameView{
		Name: info.Name, State: inspect.State(info, runs, now), Held: info.Token != "", Holder: info.Holder, Token: info.Token, Tick: known(info.Tick),
		Remaining: milliseconds(info.Remaining), LastTick: known(tick), LastHolder: holder,
		Fence: info.Fence, Waiters: info.Waiters, Paused: newPauseView(info.Paused), Votes: []voteView{}, info: info, runs: runs,
	}
	for _, vote := range info.Votes {
		v.Votes = append(v.Votes, voteView{vote.Node, vote.Token, milliseconds(vote.Remaining), plain(vote.Err)})
	}
	return v
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// votes returns how many nodes hold the holder's token, or any token if the name is free.
func (v *nameView) votes() string {
	n := 0
	for _, vote := range v.Votes {
		if vote.Token != "" && (!v.Held || vote.Token == v.Token) {
			n++
		}
	}
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", n, len(v.Votes))
}

func (v *nameView) lastTick() time.Time { return *cmp.Or(v.LastTick, &time.Time{}) }

func (v *nameView) cells(now time.Time) []string {
	remaining := "-"
	switch {
	case v.Held && v.info.Remaining == 0:
		remaining = "no TTL"
	case v.Held:
		remaining = rounded(v.info.Remaining)
	}
	tick := v.lastTick()
	return []string{shown(v.Name), v.State, orDash(v.Holder), remaining, v.votes(), instant(tick), local(tick), away(tick, now), orDash(v.LastHolder)}
}

// unknown is the state of a name when no majority of the nodes answered.
const unknown = "unknown"

// look queries a name, and its runs if there are any.
func (q *query) look(name string) (nameView, error) {
	info, err := q.Show(q.ctx, name)
	var runs *inspect.Runs
	if info.LastRun != nil {
		var failed error
		runs, failed = q.Runs(q.ctx, name)
		err = cmp.Or(err, failed)
	}
	view := newNameView(info, runs, time.Now())
	if err != nil {
		view.State = unknown
	}
	return view, err
}

var nameHeading = []string{"NAME", "STATE", "HOLDER", "REMAINING", "VOTES", "LAST TICK", "LOCAL TIME", "AGE", "LAST CLAIMED BY"}

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
		t.row("votes", v.votes()+": no holder is seen to have a majority")
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
