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
	Bad      int     `json:",omitempty"`
	Error    string  `json:",omitempty"` // of the newest result
	Schedule string  `json:",omitempty"`
	Next     int64   `json:",omitempty"`
	Paused   *pause  `json:",omitempty"`
	Holder   string  `json:",omitempty"`
	Token    string  `json:",omitempty"`
	Votes    int     `json:",omitempty"`
	Fence    int64   `json:",omitempty"`
	Waiters  int     `json:",omitempty"`
	Stale    bool    `json:",omitempty"` // too few nodes answered the last query
	Runs     []brief `json:",omitempty"` // newest first
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

// brief is a run encoded as [Tick, Late, Took, Result, Holder], a third of the bytes.
type brief run

func (r brief) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{r.Tick, r.Late, r.Took, r.Result, r.Holder})
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
	r.Runs = e.strip()
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

// strip returns the last runs, or only the newest tick if there is no history.
func (e *entry) strip() (runs []brief) {
	if e.runs != nil {
		for _, r := range e.runs.Runs[:min(len(e.runs.Runs), maxStrip)] {
			runs = append(runs, brief(newRun(r)))
		}
		return runs
	}
	if !e.info.LastTick.IsZero() {
		r := brief{Tick: e.info.LastTick.UnixMilli(), Result: "ended", Holder: e.info.LastHolder}
		if e.info.Tick.Equal(e.info.LastTick) {
			r.Result = inspect.Running
		}
		return []brief{r}
	}
	return nil
}

func newRun(r inspect.Run) run {
	return run{Tick: r.Tick.UnixMilli(), Late: r.Began.Sub(r.Tick).Milliseconds(), Took: r.Took.Milliseconds(), Result: r.Result, Holder: r.Holder}
}

// bad lists the results that need attention.
var bad = map[string]bool{"failed": true, "panicked": true, "lost": true, inspect.Vanished: true}

// judge sets State, Bad, Since and Error.
func (e *entry) judge(r *row, now time.Time) {
	for _, each := range r.Runs {
		if each.Result == inspect.Running {
			continue
		}
		if !bad[each.Result] {
			break
		}
		r.Bad++
		r.Since = each.Tick + each.Late
	}
	if r.Bad > 0 && e.runs != nil {
		r.Error = e.lastError()
	}
	if r.State = inspect.State(e.info, e.runs, now); r.State == inspect.Overdue {
		r.Since = r.Next
	}
}

// lastError returns the error of the newest run that has ended.
func (e *entry) lastError() string {
	for _, r := range e.runs.Runs {
		if r.Result != inspect.Running {
			return r.Error
		}
	}
	return ""
}

func (e *entry) detail() detail {
	d := detail{row: e.row, Asked: e.asked.UnixMilli(), Remaining: e.info.Remaining.Milliseconds()}
	for _, each := range e.row.Runs {
		d.Runs = append(d.Runs, run(each))
	}
	if e.runs != nil {
		d.Runs = nil
		for _, r := range e.runs.Runs[:min(len(e.runs.Runs), maxRuns)] {
			each := newRun(r)
			each.Error = r.Error
			d.Runs = append(d.Runs, each)
		}
	}
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
