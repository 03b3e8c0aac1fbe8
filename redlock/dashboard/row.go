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
	Job  bool // there are ticks; else it is a lock or a leadership
	// State is the newest result (ok, ended, failed, panicked, lost, vanished, abandoned), or what matters more: overdue, paused. Without
	// a result: running or waiting; of a lock: held or free.
	State string
	// Since is when the tick was due of a job that is overdue, or when the first of its last bad runs began.
	Since int64 `json:",omitempty"`
	// Bad is how many runs in a row went wrong.
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
	Stale    bool    `json:",omitempty"` // too few nodes answered when it was asked about
	Runs     []brief `json:",omitempty"` // the newest first
}

// pause says who paused a job, why, and until when: 0 for until it is resumed.
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

// brief is a run as [Tick, Late, Took, Result, Holder], in a third of the bytes.
type brief run

func (r brief) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{r.Tick, r.Late, r.Took, r.Result, r.Holder})
}

// detail is what a job's own view shows: its row, but with runs that say more.
type detail struct {
	row
	Runs      []run
	Asked     int64
	Remaining int64 // milliseconds
	Nodes     []vote
}

type vote struct {
	Node, Holder, Error string
	Agrees              bool // it holds what the majority holds
	Remaining           int64
}

// describe makes the row; before is the one until now.
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

// until is the end of a pause. What the nodes say of it differs by the way the answer takes.
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

// strip is the last runs. Without a history there is only the newest tick.
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

// bad are the results that somebody must look into.
var bad = map[string]bool{"failed": true, "panicked": true, "lost": true, inspect.Vanished: true}

// judge says what is to be known first.
func (e *entry) judge(r *row, now time.Time) {
	for _, each := range r.Runs { // the newest first
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

// lastError is that of the newest run that has ended.
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
