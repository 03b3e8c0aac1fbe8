package main

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// table aligns columns. Every cell is made printable.
type table [][]string

func (t *table) row(cells ...string) { *t = append(*t, cells) }

// without leaves out a column that has only blanks.
func (t table) without(heading string) table {
	at := slices.Index(t[0], heading)
	for _, cells := range t[1:] {
		if at < len(cells) && cells[at] != "" {
			return t
		}
	}
	for k := range t {
		if at < len(t[k]) {
			t[k] = slices.Delete(t[k], at, at+1)
		}
	}
	return t
}

func (t table) write(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cells := range t {
		shown := make([]string, len(t[0])) // a short row would end the columns
		for i, cell := range cells {
			shown[i] = printable(cell)
		}
		if _, err := io.WriteString(columns, strings.Join(shown, "\t")+"\n"); err != nil {
			return err
		}
	}
	return columns.Flush()
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
