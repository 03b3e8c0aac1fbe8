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

// write leaves out the columns that have nothing but a heading.
func (t table) write(w io.Writer) error {
	var used []int
	for i := range t[0] {
		if slices.ContainsFunc(t[1:], func(cells []string) bool { return i < len(cells) && cells[i] != "" }) {
			used = append(used, i)
		}
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cells := range t {
		shown := make([]string, len(used)) // a short row would end the columns
		for k, i := range used {
			if i < len(cells) {
				shown[k] = printable(cells[i])
			}
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
