package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

// nameView is what is known of one name, in JSON as it stands.
type nameView struct {
	Name       string     `json:"name"`
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
}

// voteView is what one node holds.
type voteView struct {
	Node      string  `json:"node"`
	Token     string  `json:"token"`
	Remaining float64 `json:"remaining_ms"`
	Error     string  `json:"error"`
}

func newNameView(info *inspect.Info) nameView {
	v := nameView{
		Name: info.Name, Held: info.Token != "", Holder: info.Holder, Token: info.Token, Tick: known(info.Tick),
		Remaining: milliseconds(info.Remaining), LastTick: known(info.LastTick), LastHolder: info.LastHolder,
		Fence: info.Fence, Waiters: info.Waiters, Paused: newPauseView(info.Paused), Votes: []voteView{}, info: info,
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

// votes is how many nodes hold what the holder holds.
func (v *nameView) votes() string {
	n := 0
	for _, vote := range v.Votes {
		if v.Held && vote.Token == v.Token {
			n++
		}
	}
	return fmt.Sprintf("%d/%d", n, len(v.Votes))
}

func (v *nameView) cells() []string {
	remaining := "-"
	if v.Held {
		remaining = rounded(v.info.Remaining)
	}
	return []string{v.Name, orDash(v.Holder), remaining, v.votes(), instant(v.info.LastTick), orDash(v.LastHolder)}
}

// oneName is the argument of the commands about one name.
func oneName(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("%s are given, must be one, as in: %s report", count(len(args), "name"), c.CommandPath())
	}
	return nil
}

var nameHeading = []string{"NAME", "HOLDER", "REMAINING", "VOTES", "LAST TICK", "LAST CLAIMED BY"}
