package redlock_test

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// check holds the history against the guarantees.
func (w *world) check() {
	w.mu.Lock()
	slices.SortStableFunc(w.grants, func(a, b *grant) int { return cmp.Compare(a.at, b.at) })
	w.mu.Unlock()
	w.checkExclusion()
	w.checkDeadlines()
	w.checkTicks()
	w.checkFences()
	w.checkOutcomes()
	w.checkKeys()
	w.checkRuns()
	w.checkPauses()
	if w.plan.weather < refusals {
		w.checkFairWeather()
	}
}

// G1: no two leases, and no two terms of an elector, are inside their validity at one instant.
func (w *world) checkExclusion() {
	for i, a := range w.grants {
		for _, b := range w.grants[i+1:] {
			if b.at < a.end {
				w.violate("G1: two at a time:\n\t%v\n\t%v", a, b)
			}
		}
	}
}

// G3: every lease's context has ended, and no later than its validity.
func (w *world) checkDeadlines() {
	for _, g := range w.grants {
		switch {
		case !g.over:
			w.violate("G3: the context never ended: %v", g)
		case g.lease != nil && g.end > g.until:
			w.violate("G3: the context ended at %v, but the validity at %v: %v", g.end, g.until, g)
		}
	}
}

// G2: each tick has at most one owner; unless owners may try again, it is granted once. A take-over follows only a run
// that was not unlocked.
func (w *world) checkTicks() {
	byTick := w.byTick()
	for _, runs := range byTick {
		for earlier, later := range pairs(runs) {
			switch {
			case w.plan.mode == "take-over":
				if earlier.returned && earlier.returnedAt < later.at {
					w.violate("G2: taken over although it was unlocked:\n\t%v\n\t%v", earlier, later)
				}
			case earlier.owner != later.owner:
				w.violate("G2: two owners of one tick:\n\t%v\n\t%v", earlier, later)
			}
		}
	}
}

func (w *world) byTick() map[int64][]*grant {
	byTick := map[int64][]*grant{}
	for _, g := range w.grants {
		if g.tick != 0 {
			byTick[g.tick] = append(byTick[g.tick], g)
		}
	}
	return byTick
}

// G7: fences grow with every lease.
func (w *world) checkFences() {
	highest := &grant{}
	for _, g := range w.grants {
		switch w.plan.mode {
		case "any order": // has none
		case "fence", "take-over":
			if highest.lease != nil && g.fence() <= highest.fence() {
				w.violate("G7: the fence does not grow:\n\t%v\n\t%v", highest, g)
			}
			highest = g
		default:
			if g.tick != 0 && g.fence() != g.tick*1000 {
				w.violate("G7: the fence is not the tick: %v", g)
			}
		}
	}
}

// G6: every refusal says which of the known outcomes it is.
func (w *world) checkOutcomes() {
	for _, r := range w.refusals {
		if !slices.Contains(outcomes, reason(r.err)) {
			w.violate("G6: r%d's %s got %v, which matches no sentinel", r.who, r.op, r.err)
		}
	}
}

func (w *world) checkLocksAreGone(when string) {
	for i, s := range w.servers {
		if token, locked := s.Get(simName); locked {
			w.violate("G4: %s server %d is locked by %s", when, i, token)
		}
	}
}

// resent is how long after a server is well again what it refused has been sent once more: the longest pause, a round trip
// before it, and one behind another batch after it.
func (p *plan) resent() time.Duration { return 1100*time.Millisecond + 4*p.delay }

// G4: what was unlocked while a server refused is released once it no longer does.
func (w *world) checkReleased(f fault) {
	for _, i := range f.servers {
		token, locked := w.servers[i].Get(simName)
		if !locked || w.refusedSince(i, f) {
			continue
		}
		w.mu.Lock()
		for _, g := range w.grants {
			if g.unlocked && g.returnedAt < f.at+f.lasts && g.lease.Token() == token {
				w.violations = append(w.violations, fmt.Sprintf("G4: server %d keeps the lock after %v: %v", i, f, g))
			}
		}
		w.mu.Unlock()
	}
}

// refusedSince reports whether the server has refused again since f.
func (w *world) refusedSince(server int, f fault) bool {
	return slices.ContainsFunc(w.plan.faults, func(other fault) bool {
		return other.at+other.lasts > f.at+f.lasts && other.at < f.at+f.lasts+w.plan.resent() && slices.Contains(other.servers, server)
	})
}

// G4: nothing stays for ever, and tick keys stay only for ticks that were granted, or whose claimer was cut off.
func (w *world) checkKeys() {
	byTick := w.byTick()
	for _, k := range w.keysWith("") {
		s := w.servers[k.server]
		left, _ := s.Do("PTTL", k.key).Value.(int64)
		if left < 0 && k.key != "redtick:guard" {
			w.violate("G4: server %d keeps %q for ever", k.server, k.key)
		}
		_, ms, isTick := strings.Cut(k.key, ":tick:")
		if tick, _ := strconv.ParseInt(ms, 10, 64); isTick && len(byTick[tick]) == 0 && !w.excused(k) {
			w.violate("G4: server %d keeps %q, which was never granted: %v", k.server, k.key, s.Do("HKEYS", k.key).Value)
		}
	}
}

// checkRuns: only runs of ticks that were granted are noted, on each server once at most as ended, and wherever an unlock
// was confirmed.
func (w *world) checkRuns() {
	noted := map[string]int{}
	for i, s := range w.servers {
		members, _ := s.Do("ZRANGE", protocol.KeysOf(simName).Runs, "0", "-1").Value.([]any)
		here := map[string]bool{}
		for _, m := range members {
			r, ok := protocol.DecodeRecord(m.(string))
			switch {
			case !ok || !slices.ContainsFunc(w.grants, func(g *grant) bool { return g.lease != nil && g.lease.Token() == r.Token }):
				w.violate("history: server %d has %q, which was never granted", i, m)
			case r.Result == "":
			case here[r.Token]:
				w.violate("history: server %d has two ends of %q", i, r.Token)
			default:
				here[r.Token] = true
				noted[r.Token]++
			}
		}
	}
	for _, g := range w.grants {
		if g.tick != 0 && g.returned && noted[g.lease.Token()] < len(w.servers)/2+1 && !w.plan.forgets {
			w.violate("history: %d servers have the end of %v", noted[g.lease.Token()], g)
		}
	}
}

// excused: where something was lost, a claimer could not give its votes back before they were given up, or a copy of a vote that was refused was
// executed later.
func (w *world) excused(k serverKey) bool {
	if w.plan.weather == refusals {
		return false
	}
	fields, _ := w.servers[k.server].Do("HKEYS", k.key).Value.([]any)
	for _, f := range fields {
		token, isToken := strings.CutPrefix(f.(string), "token:r")
		id, _, _ := strings.Cut(token, "/")
		if who, err := strconv.Atoi(id); isToken && (err != nil || !w.cutOff(who, k.server) && !w.copied(who, k.server, "r"+token)) {
			return false
		}
	}
	return true
}

func (w *world) copied(replica, server int, token string) bool {
	_, copied := w.replicas[replica].links[server].copied.Load(token)
	return copied
}

func (w *world) cutOff(replica, server int) bool {
	long := time.Duration(0)
	for _, f := range w.plan.faults {
		if f.touches(replica, server) {
			long += f.lasts
		}
	}
	r := w.replicas[replica]
	return r.killed() || long > 0 && r.links[server].deaf || long > w.plan.ttl/2
}

// checkFairWeather: as long as a majority is well no tick is lost, and on a calm day nobody hears of a missing quorum.
func (w *world) checkFairWeather() {
	for _, r := range w.refusals {
		if w.plan.weather == calm && reason(r.err) == redlock.ErrNoQuorum {
			w.violate("all is well, but r%d's %s of tick %d at %v got %v", r.who, r.op, r.tick, r.at, r.err)
		}
	}
	switch w.plan.mode {
	case "claim", "take-over", "any order":
		w.checkNoTickIsLost()
	case "spacing":
		w.checkSpacing()
	}
	if w.plan.mode == "claim" {
		w.checkOrder()
	}
}

func (w *world) checkNoTickIsLost() {
	byTick := w.byTick()
	for k := range w.plan.ticks {
		runs := byTick[w.tick(k).UnixMilli()]
		if len(runs) == 0 && !w.skipped(w.tick(k).UnixMilli()) {
			w.violate("G2: tick %d (%d) is lost", k, w.tick(k).UnixMilli())
		}
		if w.plan.mode == "take-over" && w.plan.renewal && len(runs) > 1 {
			w.violate("G2: nobody died, but tick %d ran %d times: %v", k, len(runs), runs)
		}
	}
}

func (w *world) checkSpacing() {
	for before, g := range pairs(w.grants) {
		if gap := g.tick - before.tick; gap < w.plan.spacing().Milliseconds() {
			w.violate("spacing: only %d ms between\n\t%v\n\t%v", gap, before, g)
		}
	}
}

func (w *world) checkOrder() {
	for before, g := range pairs(w.grants) {
		if g.tick <= before.tick {
			w.violate("order: granted one after the other:\n\t%v\n\t%v", before, g)
		}
	}
}

// pairs yields neighbours.
func pairs(grants []*grant) iter.Seq2[*grant, *grant] {
	return func(yield func(a, b *grant) bool) {
		for i := 1; i < len(grants); i++ {
			if !yield(grants[i-1], grants[i]) {
				return
			}
		}
	}
}
