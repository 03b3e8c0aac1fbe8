package redlock_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// pauseSpan is one pause of the job, and when the operator learned of what.
type pauseSpan struct {
	from, acked time.Duration // acked is 0 when no majority was known to have it
	lasts       time.Duration // 0: until resumed
	until, over time.Duration // when the resume began and was confirmed
}

// bars is up to when it certainly lets no claim begin. A node's clock may be fast.
func (p pauseSpan) bars() time.Duration {
	if p.lasts > 0 {
		return min(p.until, p.from+p.lasts*100/101)
	}
	return p.until
}

// operate pauses and resumes the job at odd moments, over links of its own.
func (w *world) operate() {
	if !w.plan.pauses {
		return
	}
	r := stream(w.plan.seed, "operator")
	nodes := redlocktest.Nodes(w.servers, "operator")
	for _, n := range nodes {
		link := n.(*redlocktest.Node)
		link.Seed(r.Uint64())
		link.Delay(10*time.Microsecond, 10*time.Microsecond+w.plan.delay)
	}
	ops := must[*inspect.Inspector](w.t)(inspect.New(nodes, inspect.WithTimeout(w.plan.ttl)))
	for range 1 + r.IntN(3) {
		time.Sleep(between(r, 0, w.plan.length()/2))
		p := pauseSpan{from: w.now()}
		if r.IntN(2) == 0 {
			p.lasts = between(r, time.Millisecond, 2*w.plan.period).Truncate(time.Millisecond)
		}
		err := ops.Pause(context.Background(), simName, inspect.Pause{By: "operator", For: p.lasts})
		if err == nil {
			p.acked = w.now()
		}
		w.record(-1, "pause for %v: %v", p.lasts, reason(err))
		time.Sleep(between(r, 0, 2*w.plan.period))
		p.until = w.now()
		for ops.Resume(context.Background(), simName) != nil {
			time.Sleep(w.plan.ttl)
		}
		p.over = w.now()
		w.record(-1, "resumed")
		w.mu.Lock()
		w.pauses = append(w.pauses, p)
		w.mu.Unlock()
	}
}

// checkPauses: once a pause was acknowledged no claim that begins is granted before the resume begins, or the pause ends. Where a
// majority is well it does not outlast the pause either, unless it waits for a run that may have to be taken over. And nobody is
// told of a pause that there is not.
func (w *world) checkPauses() {
	answers := w.plan.weather < refusals && w.plan.mode != "take-over"
	for _, p := range w.pauses {
		for _, g := range w.grants {
			outlasts := answers && g.asked+w.plan.ttl/5 <= p.bars() // two node timeouts are for the answer
			if g.tick != 0 && p.acked > 0 && g.asked >= p.acked && (g.at <= p.bars() || outlasts) {
				w.violate("pause: asked at %v, but paused from %v until %v: %v", g.asked, p.acked, p.bars(), g)
			}
		}
	}
	for _, r := range w.refusals {
		during := func(p pauseSpan) bool { return r.at >= p.from && r.asked <= p.over }
		if errors.Is(r.err, redlock.ErrPaused) && !slices.ContainsFunc(w.pauses, during) {
			w.violate("pause: r%d's %s at %v was refused, but there is none: %v", r.who, r.op, r.at, r.err)
		}
	}
}

// skipped reports whether a pause kept somebody from the tick: from itself, or from an earlier one that then ran at the time of
// this one.
func (w *world) skipped(tick int64) bool {
	return slices.ContainsFunc(w.refusals, func(r refusal) bool {
		if r.tick != tick {
			return false
		}
		refused, _ := errors.AsType[*redlock.Error](r.err)
		holder := protocol.TickOf(refused.Holder)
		return errors.Is(r.err, redlock.ErrPaused) || errors.Is(r.err, redlock.ErrTaken) && holder != 0 && holder < tick && w.skipped(holder)
	})
}
