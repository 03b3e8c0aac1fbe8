package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kinds of violations.
const (
	overlapping  = "G1: two leases valid at the same time"
	tooLate      = "G1: granted after the end of its validity"
	notALock     = "G1, G7: no order of the operations explains the history"
	twice        = "G2: tick granted twice"
	lostTick     = "G2: tick lost although a majority was well"
	notTold      = "G3: holder worked on after its validity, awake"
	atWork       = "G3: two at work at the same time, both awake"
	leftBehind   = "G4: key left behind"
	unpaidDebt   = "G4: close could not give everything back"
	shrinking    = "G7: fence not larger than an earlier one"
	lostWrite    = "resource: update lost inside validity, or in spite of fences"
	notAvailable = "nothing granted after the faults were over"
)

func violations() []string {
	return []string{overlapping, tooLate, notALock, twice, lostTick, notTold, atWork, leftBehind, unpaidDebt, shrinking, lostWrite, notAvailable}
}

// tally holds the violations that a check found, and its counts.
type tally struct {
	found  map[string][]string
	counts map[string]int
}

func newTally() tally { return tally{map[string][]string{}, map[string]int{}} }

func (t tally) fail(what, format string, args ...any) {
	t.found[what] = append(t.found[what], fmt.Sprintf(format, args...))
}

// check checks the history of a round.
func check(h history) tally {
	t := newTally()
	named := h.periods()
	for _, name := range allNames() {
		checkOverlap(t, named[name])
		checkFences(t, named[name])
		checkWork(t, h, named[name])
		if !explained(named[name]) {
			t.fail(notALock, "%q with %d leases", name, len(named[name]))
		}
	}
	checkTicks(t, h, shortJob, named[shortJob], true)
	checkTicks(t, h, longJob, named[longJob], false)
	checkWrites(t, h)
	checkKeys(t, h)
	checkCalm(t, h, named)
	count(t, h)
	return t
}

// checkOverlap looks for two periods of one name that overlap, and for periods that
// were over when they began. The latter is unavoidable if a process is stopped within
// the microsecond after its last check of the clock.
func checkOverlap(t tally, all []period) {
	var last period
	for _, p := range all {
		if p.At.since(p.Until) > slow {
			t.fail(tooLate, "%v, %v late", p, p.At.since(p.Until))
		}
		if p.At < min(p.to, last.to) {
			t.fail(overlapping, "%v; and %v: %v", last, p, min(p.to, last.to).since(p.At))
		}
		if p.to > last.to {
			last = p
		}
	}
}

// checkFences compares each fence with those granted before it was requested.
func checkFences(t tally, all []period) {
	for _, p := range all {
		for _, earlier := range all {
			if p.Fence != 0 && earlier.At < p.Call && earlier.Fence >= p.Fence {
				t.fail(shrinking, "%v; after %v", p, earlier)
				break
			}
		}
	}
}

// slow is how late a holder may stop working on a busy machine.
const slow = 250 * time.Millisecond

// checkWork checks the actual work of processes that were not stopped: a holder that
// learns of its loss in time must stop before the next holder has done much.
func checkWork(t tally, h history, all []period) {
	for i, p := range all {
		if p.worked.since(p.to) > slow && !h.stalledIn(p.process, p.At, p.worked) {
			t.fail(notTold, "%v went on for %v", p, p.worked.since(p.to))
		}
		for _, next := range all[i+1:] {
			late := min(p.worked, next.worked).since(next.At)
			if p.worked < next.At {
				break
			}
			if late > slow && !h.stalledIn(p.process, p.At, p.worked) && !h.stalledIn(next.process, next.At, next.worked) {
				t.fail(atWork, "%v went on for %v after %v", p, late, next)
			}
		}
	}
}

// checkTicks counts the runs of each tick of a job.
func checkTicks(t tally, h history, job string, all []period, mustRun bool) {
	runs := map[int64]int{}
	for _, p := range all {
		runs[p.Tick]++
		if runs[p.Tick] == 2 {
			t.fail(twice, "tick %d of %q, the second time to %v", p.Tick, job, p)
		}
	}
	first, last := h.start.add(warmUp+maxOffset), h.rests[len(h.rests)-1].from.add(-warmUp)
	for tick := h.clock.Truncate(grid).UnixMilli(); h.instantOf(tick) < last; tick += grid.Milliseconds() {
		due := h.instantOf(tick)
		if due < first {
			continue
		}
		t.counts[fmt.Sprintf("%s: ticks run %d times", job, runs[tick])]++
		if mustRun && h.mustRun(due) {
			t.counts[job+": ticks that had to run"]++
			if runs[tick] == 0 {
				t.fail(lostTick, "tick %d of %q, due at %d", tick, job, due)
			}
		}
	}
}

// mustRun reports whether a tick had to be granted: no replica was disturbed, a
// majority of the nodes had been up for long enough, and the machine was not too busy.
func (h *history) mustRun(due instant) bool {
	from, to := due.add(-maxOffset), due.add(maxOffset+time.Second/2)
	return !h.disturbed(from.add(-h.ttl-time.Second), to) &&
		h.wounded(from.add(-3*time.Second), to) <= minority &&
		!h.stalledIn("", from, to)
}

// checkWrites looks for lost updates of the resource: a write between another
// replica's read and write. With fences there must be none. Without them, a holder
// that was paused after its last check of the clock may write too late.
func checkWrites(t tally, h history) {
	inTime := map[string]bool{}
	for _, e := range h.events {
		inTime[e.Token] = inTime[e.Token] || e.Kind == wrote && e.At <= e.Until
	}
	for _, e := range h.events {
		if e.Kind != wrote || *e.Found == withFence(*e.Read, e.Found.Fence) {
			continue
		}
		if e.Fence != 0 || inTime[e.Token] && inTime[e.Found.Writer] {
			t.fail(lostWrite, "%s of %q read %v and wrote over %v", e.Token, e.Name, *e.Read, *e.Found)
		} else {
			t.counts["updates lost to writers paused beyond their validity, without fences"]++
		}
	}
}

func withFence(c content, fence int64) content {
	c.Fence = fence
	return c
}

// checkKeys checks the keys on the nodes after all replicas have left. Only killed
// processes may leave locks, and all keys must expire.
func checkKeys(t tally, h history) {
	for _, k := range h.keys {
		isLock := slices.Contains(allNames(), k.name)
		switch {
		case k.left == -2 || k.name == "redtick:guard":
		case k.left == -1:
			t.fail(leftBehind, "%q on %s, for ever", k.name, k.node)
		case isLock && !(h.killed[owner(k.token)] && k.left <= h.ttl):
			t.fail(leftBehind, "%q on %s, held by %s for another %v", k.name, k.node, k.token, k.left)
		}
	}
	for _, who := range h.unpaid {
		t.fail(unpaidDebt, "%s", who)
	}
}

// checkCalm checks that everything works again once the faults are over, including a
// lock that is held for long.
func checkCalm(t tally, h history, named map[string][]period) {
	from := h.calm.add(calmTime / 2)
	for _, name := range []string{fencedLock, plainLock, shortJob} {
		if !slices.ContainsFunc(named[name], func(p period) bool { return p.to > from }) {
			t.fail(notAvailable, "%q", name)
		}
	}
}

// count counts operations and faults.
func count(t tally, h history) {
	for _, e := range h.events {
		switch e.Kind {
		case granted:
			t.counts[e.Op+": granted"]++
		case refused:
			t.counts[e.Op+": "+e.Text]++
		case kept:
			t.counts["unlock: "+e.Text]++
		case extended:
			t.counts["renewals seen"]++
		case wrote:
			t.counts["writes"]++
		case stopped:
			t.counts["late writers stopped by the fence"]++
		}
	}
	for _, f := range h.faults {
		t.counts["fault: "+f.Kind]++
	}
}

// add adds other to t. where says which round it is from.
func (t tally) add(other tally, where string) {
	for what, n := range other.counts {
		t.counts[what] += n
	}
	for what, all := range other.found {
		for _, text := range all {
			t.found[what] = append(t.found[what], where+": "+strings.ReplaceAll(text, "\n", "; "))
		}
	}
}
