package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

func printTable(w io.Writer, s scenario, lines []line) {
	fmt.Fprintf(w, "\n%s: %s\n", s.name, s.title)
	if s.note != "" {
		fmt.Fprintf(w, "  %s\n", s.note)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\t")
	for _, c := range s.columns {
		fmt.Fprintf(t, "%s\t", c.head)
	}
	fmt.Fprintln(t)
	width := nameWidth(lines)
	for _, l := range lines {
		fmt.Fprintf(t, "%-*s\t", width, l.Name)
		for _, c := range s.columns {
			fmt.Fprintf(t, "%s\t", c.cell(l, lines))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	for _, l := range lines {
		if l.Failed != "" {
			first, _, _ := strings.Cut(l.Failed, "\n")
			fmt.Fprintf(w, "  %s failed: %.300s\n", l.Name, first)
		}
	}
}

func nameWidth(lines []line) (width int) {
	for _, l := range lines {
		width = max(width, len(l.Name))
	}
	return width
}

func (c column) cell(l line, lines []line) string {
	value, ok := l.Median[c.figure]
	if c.against != "" {
		value, ok = ratio(l, find(lines, c.against), c.figure)
	}
	if !ok || l.Failed != "" {
		return "-"
	}
	format := c.format
	if format == "" {
		format = "%.1f"
		if c.against != "" {
			format = "%.2f"
		}
	}
	return strings.TrimSpace(fmt.Sprintf(format, value))
}

func find(lines []line, name string) line {
	for _, l := range lines {
		if l.Name == name {
			return l
		}
	}
	return line{}
}
