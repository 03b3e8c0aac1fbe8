package main

import (
	"slices"
)

// run is one contender, ready to be measured repeatedly.
type run struct {
	measure func() (figures, error)
	stop    func()
}

// scenario is one piece of work for which contenders are compared.
type scenario struct {
	name  string
	title string
	// nodes is how many servers it needs.
	nodes int
	// note says how to read the figures.
	note    string
	columns []column
	entries func(*bench) []entry
	// rounds bounds how often slow work is repeated; 0 means no bound.
	rounds int
	// axis is the title of a growth scenario's axis.
	axis string
}

// entry is one line of a scenario's table.
type entry struct {
	name  string
	x     float64 // on the axis of a growth scenario
	start func() (run, error)
}

// column is one figure, or its ratio to another line's in the same round.
type column struct {
	head    string
	figure  string
	against string
	format  string
}

// line is a contender's results over all rounds.
type line struct {
	Name   string    `json:"name"`
	X      float64   `json:"x,omitempty"`
	Median figures   `json:"median"`
	Rounds []figures `json:"rounds"`
	Failed string    `json:"failed,omitempty"`
}

// play measures the entries in rounds: each round measures every entry once, in an
// order that rotates. So a temporary disturbance affects all alike, and ratios within a
// round remain valid.
func play(b *bench, s scenario) []line {
	entries := s.entries(b)
	lines := make([]line, len(entries))
	runs := make([]run, len(entries))
	for i, e := range entries {
		lines[i].Name, lines[i].X = e.name, e.x
		var err error
		if runs[i], err = e.start(); err != nil {
			lines[i].Failed = err.Error()
			continue
		}
		defer runs[i].stop()
	}
	for round := range b.repeats(s) {
		for k := range entries {
			i := (k + round) % len(entries)
			if lines[i].Failed == "" {
				lines[i].add(runs[i].measure())
			}
		}
	}
	for i := range lines {
		lines[i].Median = medians(lines[i].Rounds)
	}
	return lines
}

// repeats returns the number of rounds of a scenario.
func (b *bench) repeats(s scenario) int {
	if s.rounds > 0 && b.quick {
		return 1
	}
	if s.rounds > 0 {
		return min(s.rounds, b.rounds)
	}
	return b.rounds
}

func (l *line) add(f figures, err error) {
	if err != nil {
		l.Failed = err.Error()
		return
	}
	l.Rounds = append(l.Rounds, f)
}

func medians(rounds []figures) figures {
	result := figures{}
	for _, r := range rounds {
		for name := range r {
			if _, ok := result[name]; !ok {
				result[name] = median(collect(rounds, name))
			}
		}
	}
	return result
}

func collect(rounds []figures, name string) (values []float64) {
	for _, r := range rounds {
		if v, ok := r[name]; ok {
			values = append(values, v)
		}
	}
	return values
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// ratio returns the median over rounds of one line's figure divided by another's.
func ratio(l, against line, figure string) (float64, bool) {
	var ratios []float64
	for i := range min(len(l.Rounds), len(against.Rounds)) {
		a, ok := l.Rounds[i][figure]
		b, known := against.Rounds[i][figure]
		if ok && known && b != 0 {
			ratios = append(ratios, a/b)
		}
	}
	return median(ratios), len(ratios) > 0
}
