package demo

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// run is what a run is counted under.
type run struct {
	job     string
	tick    int64 // Unix ms
	replica string
}

func (r run) within(from, to time.Time) bool {
	return r.tick >= from.UnixMilli() && r.tick < to.UnixMilli()
}

// ledger counts runs from two sources that know nothing of each other.
type ledger struct {
	reported map[run]int // what the replicas said
	counted  map[run]int // what the jobs left in the file
}

func newLedger() *ledger {
	return &ledger{reported: map[run]int{}, counted: map[run]int{}}
}

func (l *ledger) report(job string, tick time.Time, replica string) {
	l.reported[run{job, tick.UnixMilli(), replica}]++
}

const countFormat = "%s %d %s\n"

// readCounts takes in the file that the jobs wrote to.
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

// verdict is what became of the ticks of one job.
type verdict struct {
	ticks  int // to be expected by schedule and clock
	once   int // of these, run exactly once
	more   int // ticks run more than once, or run though not on the schedule
	missed int // ticks that nobody ran
}

func (v verdict) String() string {
	return fmt.Sprintf("ticks=%d once=%d more=%d missed=%d", v.ticks, v.once, v.more, v.missed)
}

func (v verdict) good() bool { return v.more == 0 && v.missed == 0 }

// judge compares the job's ticks in [from, to) with the runs. Runs outside are
// of no concern: those ticks were seen in part only.
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

// all counts a run that only one of the two sources knows.
func (l *ledger) all() map[run]int {
	all := map[run]int{}
	for _, source := range []map[run]int{l.reported, l.counted} {
		for r, n := range source {
			all[r] = max(all[r], n)
		}
	}
	return all
}

// differences says where the two sources disagree, in order of time.
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

// total is how many runs the ticks in [from, to) had.
func (l *ledger) total(from, to time.Time) int {
	sum := 0
	for r, n := range l.all() {
		if r.within(from, to) {
			sum += n
		}
	}
	return sum
}
