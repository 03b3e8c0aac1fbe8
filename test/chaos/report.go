package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// shown is how many violations of a kind are printed.
const shown = 3

// announce prints the result of a round, and how to repeat it if it failed.
func announce(w io.Writer, r round, t tally, verbose bool) {
	memory := "nodes keep their data"
	if r.fleet.plan.forgetful {
		memory = "nodes forget, with the restart guard"
	}
	bad := 0
	for _, all := range t.found {
		bad += len(all)
	}
	grants := t.counts["lock: granted"] + t.counts["try: granted"] + t.counts["claim: granted"]
	fmt.Fprintf(w, "seed %d (%s): %d faults, %d grants, %d violations\n", r.seed, memory, len(r.past.faults), grants, bad)
	if bad > 0 {
		fmt.Fprintf(w, "  again: %s\n", r.replay())
	}
	if bad > 0 || verbose {
		fmt.Fprintf(w, "  histories: %s; the minority is %v\n", r.dir, r.fleet.plan.weak)
		for _, f := range r.past.faults {
			fmt.Fprintf(w, "  from %d to %d: %v\n", f.from, f.to, f.fault)
		}
	}
}

func report(w io.Writer, sum tally) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\ncounted\t")
	for _, what := range slices.Sorted(maps.Keys(sum.counts)) {
		fmt.Fprintf(t, "  %s\t%d\n", what, sum.counts[what])
	}
	fmt.Fprintln(t, "\nviolations\t")
	for _, what := range violations() {
		fmt.Fprintf(t, "  %s\t%d\n", what, len(sum.found[what]))
	}
	t.Flush()
	for _, what := range violations() {
		all := sum.found[what]
		for _, text := range all[:min(len(all), shown)] {
			fmt.Fprintf(w, "\n%s\n  %s\n", what, text)
		}
	}
}
