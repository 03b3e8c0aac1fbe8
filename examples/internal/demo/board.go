package demo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// row is what is known about one tick of one job.
type row struct {
	job   string
	order int // index of the job in the schedule
	tick  time.Time
	cells map[string]*cell
	runs  int
	shown bool // printed as final
}

// cell is what one replica reported about the tick.
type cell struct {
	ran  bool
	what string
	at   time.Time
}

// board is the table of ticks that the view shows.
type board struct {
	rows    []*row // in order of time
	columns []string
	dead    map[string]string // how replicas ended
}

// row returns the tick's row, which it adds if there is none.
func (b *board) row(job string, order int, tick time.Time) *row {
	for _, r := range slices.Backward(b.rows) {
		if r.job == job && r.tick.Equal(tick) {
			return r
		}
	}
	r := &row{job: job, order: order, tick: tick, cells: map[string]*cell{}}
	b.rows = append(b.rows, r)
	slices.SortStableFunc(b.rows, func(x, y *row) int {
		return cmp.Or(x.tick.Compare(y.tick), cmp.Compare(x.order, y.order))
	})
	return r
}

// put notes a run or a refusal. A run takes precedence over a refusal of the same
// replica.
func (r *row) put(e event) {
	if e.Kind == began {
		r.runs++
		r.cells[e.Replica] = &cell{ran: true, what: "RAN", at: e.At}
	} else if r.cells[e.Replica] == nil {
		r.cells[e.Replica] = &cell{what: e.Reason, at: e.At}
	}
}

// settled reports whether all living replicas have answered.
func (r *row) settled(living []string) bool {
	for _, name := range living {
		if r.cells[name] == nil {
			return false
		}
	}
	return true
}

const (
	tickWidth = 8
	jobWidth  = 7
	cellWidth = 18
)

func (b *board) heading() string {
	line := fmt.Sprintf("%-*s  %-*s", tickWidth, "tick", jobWidth, "job")
	for _, name := range b.columns {
		line += fmt.Sprintf(" %-*s", cellWidth, name)
	}
	return strings.TrimRight(line, " ")
}

// line formats a row. It marks a tick that was run more than once or, if the row is
// final, not at all.
func (b *board) line(v *view, r *row, final bool) string {
	line := fmt.Sprintf("%-*s  %-*s", tickWidth, clockTime(r.tick), jobWidth, r.job)
	for _, name := range b.columns {
		line += " " + b.text(v, r, name)
	}
	line = strings.TrimRight(line, " ")
	switch {
	case r.runs > 1:
		line += v.paint(red, fmt.Sprintf(" <- ran %d times", r.runs))
	case r.runs == 0 && final:
		line += v.paint(red, " <- nobody ran it")
	}
	return line
}

func (b *board) text(v *view, r *row, name string) string {
	c := r.cells[name]
	if c == nil {
		return v.paint(dim, fmt.Sprintf("%-*s", cellWidth, b.dead[name]))
	}
	text := fmt.Sprintf("%-*s", cellWidth, fmt.Sprintf("%-9s%+5d ms", c.what, c.at.Sub(r.tick).Milliseconds()))
	switch {
	case c.ran:
		return v.paint(green, text)
	case c.what == reasonDone, c.what == reasonTaken:
		return v.paint(dim, text)
	}
	return v.paint(yellow, text)
}

func clockTime(t time.Time) string { return t.Local().Format(time.TimeOnly) }
