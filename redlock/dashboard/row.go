package dashboard

import (
	"encoding/json"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

// maxStrip is how many runs a row has.
const maxStrip = 20

// row is what the table shows of a name. Times are Unix milliseconds.
type row struct {
	Name string
	Job  bool // false for a lock or a leadership
	// State is the result of [inspect.State].
	State string
	// Since is when the first of the Bad runs began, or for an overdue job when its tick was due.
	Since int64 `json:",omitempty"`
	// Bad is how many of the newest runs went wrong in a row.
	Bad      int    `json:",omitempty"`
	Error    string `json:",omitempty"` // of the newest result
	Schedule string `json:",omitempty"`
	Next     int64  `json:",omitempty"`
	Paused   *pause `json:",omitempty"`
	Holder   string `json:",omitempty"`
	Token    string `json:",omitempty"`
	Votes    int    `json:",omitempty"`
	Fence    int64  `json:",omitempty"`
	Waiters  int    `json:",omitempty"`
	Stale    bool   `json:",omitempty"` // too few nodes answered the last query
	Runs     strip  `json:",omitempty"` // newest first
}

// pause is a job's pause. Until is 0 for a pause without end.
type pause struct {
	By, Why string
	Until   int64
}

// run is one run; Late and Took are milliseconds.
type run struct {
	Tick, Late, Took int64
	Result, Holder   string
	Error            string
}

// strip is a row's runs. Each is encoded as [Tick, Late, Took, Result, Holder], a third of the bytes.
type strip []run

func (s strip) MarshalJSON() ([]byte, error) {
	all := make([][]any, len(s))
	for n, r := range s {
		all[n] = []any{r.Tick, r.Late, r.Took, r.Result, r.Holder}
	}
	return json.Marshal(all)
}

// detail is what the view of one job shows: its row with more about each run.
type detail struct {
	row
	Runs      []run
	Asked     int64
	Remaining int64 // milliseconds
	Nodes     []vote
}

type vote struct {
	Node, Holder, Error string
	Agrees              bool // it holds the same token as the majority
	Remaining           int64
}

// describe returns the row of the entry. before is its last row.
func (e *entry) describe(now time.Time, before row) row {
	i := e.info
	r := row{Name: i.Name, Holder: i.Holder, Token: i.Token, Fence: i.Fence, Waiters: i.Waiters, Stale: e.stale}
	r.Job = !i.LastTick.IsZero() || i.LastRun != nil || i.Paused != nil
	for _, v := range i.Votes {
		if v.Token != "" && v.Token == i.Token {
			r.Votes++
		}
	}
	r.Runs = e.last(maxStrip)
	if i.Paused != nil {
		r.Paused = &pause{By: i.Paused.By, Why: i.Paused.Why, Until: until(i.Paused, now, before.Paused)}
	}
	if e.runs != nil {
		r.Schedule, r.Next = e.runs.Schedule, milliseconds(e.runs.Next)
	}
	e.judge(&r, now)
	return r
}

// until returns the end of a pause, or 0. It returns the last value if it differs by less than 3 s, since the computed
// end varies with the round trip.
func until(p *inspect.Pause, now time.Time, before *pause) int64 {
	if p.For == 0 {
		return 0
	}
	end := now.Add(p.For).UnixMilli()
	if before != nil && before.Until != 0 && max(end-before.Until, before.Until-end) < 3000 {
		return before.Until
	}
	return end
}

// last returns the last runs, or only the newest tick if there is no history.
func (e *entry) last(most int) (runs []run) {
	if e.runs != nil {
		for _, r := range e.runs.Runs[:min(len(e.runs.Runs), most)] {
			runs = append(runs, run{Tick: r.Tick.UnixMilli(), Late: r.Began.Sub(r.Tick).Milliseconds(), Took: r.Took.Milliseconds(), Result: r.Result, Holder: r.Holder, Error: r.Error})
		}
		return runs
	}
	if !e.info.LastTick.IsZero() {
		r := run{Tick: e.info.LastTick.UnixMilli(), Result: "ended", Holder: e.info.LastHolder}
		if e.info.Tick.Equal(e.info.LastTick) {
			r.Result = inspect.Running
		}
		return []run{r}
	}
	return nil
}

// judge sets State, Bad, Since and Error.
func (e *entry) judge(r *row, now time.Time) {
	if e.runs != nil {
		for _, each := range e.runs.Runs[:len(r.Runs)] {
			if each.Result == inspect.Running {
				continue
			}
			if !each.WentWrong() {
				break
			}
			r.Bad++
			r.Since = each.Began.UnixMilli()
		}
	}
	if r.Bad > 0 {
		r.Error = e.runs.LastEnded().Error
	}
	if r.State = inspect.State(e.info, e.runs, now); r.State == inspect.Overdue {
		r.Since = r.Next
	}
}

func (e *entry) detail() detail {
	d := detail{row: e.row, Runs: e.last(maxRuns), Asked: e.asked.UnixMilli(), Remaining: e.info.Remaining.Milliseconds()}
	for _, v := range e.info.Votes {
		shown := vote{Node: v.Node, Agrees: v.Err == nil && v.Token == e.info.Token, Remaining: v.Remaining.Milliseconds()}
		if v.Token != "" {
			shown.Holder = redlock.HolderOf(v.Token)
		}
		if v.Err != nil {
			shown.Error = v.Err.Error()
		}
		d.Nodes = append(d.Nodes, shown)
	}
	return d
}
