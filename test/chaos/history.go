package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// history is all that is known of a finished round.
type history struct {
	ttl    time.Duration
	events []event
	faults []happened
	rests  []happened      // when the replicas were told to leave
	killed map[string]bool // processes
	keys   []foundKey      // found on the nodes while all replicas had left
	unpaid []string        // replicas that could not deliver their releases
	calm   instant         // when the calm stretch began
	start  instant
	clock  time.Time // the wall clock at start
}

// period is the time of a lease, which must not overlap another of the same name.
type period struct {
	event          // how it was granted
	to     instant // the release, or the end of its validity, whichever came first
	worked instant // when the work was over; 0 if there was none or it was not recorded
}

func (p period) String() string {
	return fmt.Sprintf("%s of %q, granted at %d, until %d, fence %d", p.Token, p.Name, p.At, p.to, p.Fence)
}

// periods returns the leases of each name in the order of their grants.
func (h *history) periods() map[string][]period {
	leases := map[string]*period{}
	for _, e := range h.events {
		if e.Kind == granted {
			leases[e.Token] = &period{event: e, to: e.Until}
		}
	}
	for _, e := range h.events {
		l := leases[e.Token]
		switch {
		case l == nil:
		case e.Kind == extended:
			l.to = max(l.to, e.Until)
		case e.Kind == ended:
			l.to, l.worked = min(e.At, e.Until), e.Call
		}
	}
	named := map[string][]period{}
	for _, l := range leases {
		named[l.Name] = append(named[l.Name], *l)
	}
	for _, all := range named {
		slices.SortFunc(all, func(a, b period) int { return cmp.Compare(a.At, b.At) })
	}
	return named
}

// instantOf returns when a tick was due by the true clock.
func (h *history) instantOf(tick int64) instant {
	return h.start.add(time.UnixMilli(tick).Sub(h.clock))
}

// stalledIn reports whether the process, or any process if it is "", stalled between
// from and to.
func (h *history) stalledIn(process string, from, to instant) bool {
	return slices.ContainsFunc(h.events, func(e event) bool {
		return e.Kind == stalled && (process == "" || e.process == process) && overlap(e.At, e.Done, from, to)
	})
}

// wounded returns the number of nodes that a fault affected, directly or through a
// link.
func (h *history) wounded(from, to instant) int {
	hurt := map[int]bool{}
	for _, f := range h.faults {
		if overlap(f.from, f.to, from, to) && f.target() != "replica" {
			for _, n := range f.Nodes {
				hurt[n] = true
			}
		}
	}
	return len(hurt)
}

// disturbed reports whether a replica was paused, killed or absent.
func (h *history) disturbed(from, to instant) bool {
	return slices.ContainsFunc(slices.Concat(h.faults, h.rests), func(f happened) bool {
		return f.target() == "replica" && overlap(f.from, f.to, from, to)
	})
}

// owner returns the process that made the token.
func owner(token string) string {
	process, _, _ := strings.Cut(token, "/")
	return process
}
