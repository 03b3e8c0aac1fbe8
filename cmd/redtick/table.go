package main

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// table is a table with aligned columns. Its first row is the heading.
type table [][]string

func (t *table) row(cells ...string) { *t = append(*t, cells) }

// without returns the table without the column of heading if that is blank.
func (t table) without(heading string) table {
	at := slices.Index(t[0], heading)
	for _, cells := range t[1:] {
		if at < len(cells) && cells[at] != "" {
			return t
		}
	}
	rest := slices.Clone(t)
	for k, cells := range t {
		if at < len(cells) {
			rest[k] = slices.Concat(cells[:at], cells[at+1:])
		}
	}
	return rest
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
