package demo

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// run is the key under which runs are counted.
type run struct {
	job     string
	tick    int64 // Unix ms
	replica string
}

func (r run) within(from, to time.Time) bool {
	return r.tick >= from.UnixMilli() && r.tick < to.UnixMilli()
}

// ledger counts runs from two independent sources.
type ledger struct {
	reported map[run]int // as the replicas reported
	counted  map[run]int // lines in the file
}

func newLedger() *ledger {
	return &ledger{reported: map[run]int{}, counted: map[run]int{}}
}

func (l *ledger) report(job string, tick time.Time, replica string) {
	l.reported[run{job, tick.UnixMilli(), replica}]++
}

const countFormat = "%s %d %s\n"

// readCounts reads the file that the replicas wrote to.
func (l *ledger) readCounts(file io.Reader) error {
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var r run
		if _, err := fmt.Sscanf(lines.Text(), countFormat, &r.job, &r.tick, &r.replica); err != nil {
			return fmt.Errorf("line %q of the count of runs: %w", lines.Text(), err)
		}
		l.counted[r]++
	}
	return lines.Err()
}

// verdict counts the outcomes of the ticks of one job.
type verdict struct {
	ticks  int // expected by schedule and clock
	once   int // run exactly once
	more   int // run more than once, or not on the schedule
	missed int // not run
}

func (v verdict) String() string {
	return fmt.Sprintf("ticks=%d once=%d more=%d missed=%d", v.ticks, v.once, v.more, v.missed)
}

func (v verdict) good() bool { return v.more == 0 && v.missed == 0 }

// judge compares the job's ticks in [from, to) with the runs. It ignores other runs,
// whose ticks were not watched from beginning to end.
func (l *ledger) judge(job Job, from, to time.Time) verdict {
	runs := map[int64]int{}
	for r, n := range l.all() {
		if r.job == job.Name && r.within(from, to) {
			runs[r.tick] += n
		}
	}
	var v verdict
	for tick := job.at(from); tick.Before(to); tick = tick.Add(job.Every) {
		v.ticks++
		switch n := runs[tick.UnixMilli()]; {
		case n == 0:
			v.missed++
		case n == 1:
			v.once++
		default:
			v.more++
		}
		delete(runs, tick.UnixMilli())
	}
	v.more += len(runs)
	return v
}

// all returns the runs of both sources. Where they differ, the larger count applies.
func (l *ledger) all() map[run]int {
	all := map[run]int{}
	for _, source := range []map[run]int{l.reported, l.counted} {
		for r, n := range source {
			all[r] = max(all[r], n)
		}
	}
	return all
}

// differences describes where the two sources disagree, in order of time.
func (l *ledger) differences() []string {
	var different []run
	for r := range l.all() {
		if l.reported[r] != l.counted[r] {
			different = append(different, r)
		}
	}
	slices.SortFunc(different, func(a, b run) int {
		return cmp.Or(cmp.Compare(a.tick, b.tick), cmp.Compare(a.job, b.job), cmp.Compare(a.replica, b.replica))
	})
	var text []string
	for _, r := range different {
		text = append(text, fmt.Sprintf("%s %s on %s: reported %d times, counted %d times",
			clockTime(time.UnixMilli(r.tick)), r.job, r.replica, l.reported[r], l.counted[r]))
	}
	return text
}

// total returns the number of runs of the ticks in [from, to).
func (l *ledger) total(from, to time.Time) int {
	sum := 0
	for r, n := range l.all() {
		if r.within(from, to) {
			sum += n
		}
	}
	return sum
}
