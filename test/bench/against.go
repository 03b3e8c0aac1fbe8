package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

const (
	// passes is how often both versions are run, in turn.
	passes = 6
	// roundsPerPass is enough for a ratio, and small enough that both versions meet the same conditions.
	roundsPerPass = 3
)

// against runs the scenarios alternately with this version and another one of the
// repository, and compares the figures of redtick's own contenders. It first divides
// each by the floor of the same run, so that disturbances of the machine cancel out.
func (b *bench) against(ref, filter string) error {
	dir, err := os.MkdirTemp("", "redtick-against")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	before, err := buildBefore(ref, dir)
	if err != nil {
		return err
	}
	after, err := os.Executable()
	if err != nil {
		return err
	}
	c := comparison{}
	for pass := range passes {
		var reports [2]report
		for k := range 2 {
			side := (k + pass) % 2
			if reports[side], err = b.side([]string{before, after}[side], filter, dir); err != nil {
				return err
			}
		}
		c.add(reports[0], reports[1])
		fmt.Fprintf(os.Stderr, "pass %d of %d\n", pass+1, passes)
	}
	c.print(os.Stdout, ref)
	return nil
}

// buildBefore builds the benchmark and the library as of ref.
func buildBefore(ref, dir string) (binary string, err error) {
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return "", err
	}
	archive := exec.Command("sh", "-c", `git -C "$(git rev-parse --show-toplevel)" archive "$0" | tar -x -C "$1"`, ref, tree)
	if out, err := archive.CombinedOutput(); err != nil || len(out) > 0 {
		return "", fmt.Errorf("-against %s: no such version, or this is no clone of the repository: %s", ref, out)
	}
	binary = filepath.Join(dir, "before")
	for _, place := range []string{"test/bench", "benchmarks"} {
		build := exec.Command("go", "build", "-o", binary, ".")
		build.Dir = filepath.Join(tree, place)
		if _, err := os.Stat(build.Dir); err != nil {
			continue
		}
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("-against %s: %w: %s", ref, err, out)
		}
		return binary, nil
	}
	return "", fmt.Errorf("-against %s: that version has no benchmark", ref)
}

// side runs one version's binary for one pass.
func (b *bench) side(binary, filter, dir string) (r report, err error) {
	out := filepath.Join(dir, "out")
	cmd := exec.Command(binary, "-run", filter, "-lib", "redtick|floor", "-rounds", strconv.Itoa(roundsPerPass), "-slice", b.slice.String(), "-out", out)
	if text, err := cmd.CombinedOutput(); err != nil {
		return r, fmt.Errorf("%s: %w: %s", binary, err, text)
	}
	text, err := os.ReadFile(filepath.Join(out, "results.json"))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// comparison maps a scenario, a contender and a figure to the ratio after/before of each pass.
type comparison map[[3]string][]float64

func (c comparison) add(before, after report) {
	for _, s := range after.Results {
		was := slices.IndexFunc(before.Results, func(r result) bool { return r.Scenario == s.Scenario })
		if was < 0 {
			continue
		}
		for _, l := range s.Lines {
			if !strings.HasPrefix(l.Name, "redtick") {
				continue
			}
			for figure := range l.Median {
				a, okA := toFloor(s.Lines, l.Name, figure)
				b, okB := toFloor(before.Results[was].Lines, l.Name, figure)
				if okA && okB && b != 0 {
					key := [3]string{s.Scenario, l.Name, figure}
					c[key] = append(c[key], a/b)
				}
			}
		}
	}
}

// toFloor returns a contender's figure divided by the floor's of the same round, or the figure itself if the floor has none.
func toFloor(lines []line, name, figure string) (float64, bool) {
	if r, ok := ratio(find(lines, name), find(lines, goredisFloor), figure); ok {
		return r, true
	}
	value, ok := find(lines, name).Median[figure]
	return value, ok
}

func (c comparison) print(w io.Writer, ref string) {
	fmt.Fprintf(w, "this version by %s; of times and costs less is better, of rates more; median, least and most of %d passes\n", ref, passes)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, key := range slices.SortedFunc(maps.Keys(c), func(a, b [3]string) int { return slices.Compare(a[:], b[:]) }) {
		ratios := c[key]
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t(%.2f to %.2f)\n", key[0], key[1], key[2], median(ratios), slices.Min(ratios), slices.Max(ratios))
	}
	t.Flush()
}
