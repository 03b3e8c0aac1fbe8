package main

import (
	"cmp"
	"fmt"
	"time"

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
