package redlock

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Triggered returns the job as a run by hand claims it, which [Job.OnTrigger]
// tells of: its claim does not touch the order of the schedule's ticks, so no
// scheduled tick is refused on its account unless it still runs then. It is not
// taken over, caught up, or asked for again after its claim was refused, and no
// spacing applies to it. Pauses do.
func (j *Job) Triggered() *Job {
	t := *j.t
	t.cfg.triggered = !t.cfg.anyOrder // so its tick is a fence
	t.cfg.anyOrder, t.cfg.takeover, t.cfg.owner = true, false, ""
	t.cfg.catchUp, t.cfg.lateness = 0, 0
	t.name = t.cfg.newName(t.name.Lock)
	return &Job{&t}
}

// OnTrigger calls run each time an operator triggers the job, on every replica
// that listens: with the tick to claim on the job of [Job.Triggered], which one of
// them is granted. run must not block. The observer is told of each trigger, and
// when a node's cannot be heard.
//
// The Locker has one subscription on each node for all its jobs, on a connection
// of its own, from the first OnTrigger to the last stop or Close. What is
// published while no node's stands is not heard; who triggers is told. Without a
// node that is a [driver.Subscriber] the error matches [ErrInvalid], and after
// Close it is [ErrClosed].
func (j *Job) OnTrigger(run func(tick time.Time)) (stop func(), err error) {
	l := j.t.locker
	subscribes := func(p *pipeline.Pipeline) bool { _, ok := p.Node().(driver.Subscriber); return ok }
	if !slices.ContainsFunc(l.group.Pipelines, subscribes) {
		return nil, invalid("no node is a driver.Subscriber, so job %q would hear no trigger; use another driver, or leave triggers out", j.Name())
	}
	h := &hearer{name: j.Name(), run: run}
	if !l.triggers.add(l, h) {
		return nil, ErrClosed
	}
	return func() { l.triggers.remove(h) }, nil
}

// hearer is one OnTrigger.
type hearer struct {
	name string
	run  func(tick time.Time)
}

// triggers is a Locker's ear for them.
type triggers struct {
	mu      sync.Mutex
	hearers []*hearer
	heard   [16]string // the last messages: each comes from every node
	next    int        // in heard
	end     context.CancelFunc
}

func (t *triggers) add(l *Locker, h *hearer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.isClosed() {
		return false
	}
	if t.hearers = append(t.hearers, h); t.end != nil {
		return true
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.end = cancel
	for _, p := range l.group.Pipelines {
		if sub, ok := p.Node().(driver.Subscriber); ok {
			go l.listen(ctx, p.Name(), sub)
		}
	}
	return true
}

// remove ends the subscriptions with the last hearer; with nil, all are gone.
func (t *triggers) remove(h *hearer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hearers = slices.DeleteFunc(t.hearers, func(other *hearer) bool { return h == nil || other == h })
	if len(t.hearers) == 0 && t.end != nil {
		t.end()
		t.end = nil
	}
}

// longestDeaf is how long a lost subscription pauses at most before it begins anew.
const longestDeaf = 5 * time.Second

// listen subscribes to one node's triggers until ctx ends, as often as the subscription is lost.
func (l *Locker) listen(ctx context.Context, node string, sub driver.Subscriber) {
	for try := 0; ; try++ {
		var ready atomic.Bool
		err := sub.Subscribe(ctx, protocol.TriggerChannel, func() { ready.Store(true) }, l.hear)
		if ctx.Err() != nil {
			return
		}
		if ready.Load() {
			try = 0
		}
		if try == 1 { // the first is for a server that restarts, or goes over to another one
			l.Report(Event{Kind: TriggersUnheard, Node: node, Err: protocol.WithCure(err)})
		}
		longest := min(100*time.Millisecond<<min(try, 6), longestDeaf)
		pause(ctx, longest/2+l.cfg.jitter(longest/2))
	}
}

// hear takes a message, which may be anybody's.
func (l *Locker) hear(message string) {
	m, ok := protocol.DecodeTrigger(message)
	if !ok {
		return
	}
	t := &l.triggers
	t.mu.Lock()
	var runs []func(tick time.Time)
	for _, h := range t.hearers {
		if h.name == m.Name {
			runs = append(runs, h.run)
		}
	}
	if len(runs) == 0 || slices.Contains(t.heard[:], message) {
		t.mu.Unlock()
		return
	}
	t.heard[t.next%len(t.heard)] = message
	t.next++
	t.mu.Unlock()
	l.Report(Event{Kind: Triggered, Name: m.Name, Tick: protocol.Instant(m.Tick), By: protocol.Clip(m.By)})
	for _, run := range runs {
		run(protocol.Instant(m.Tick))
	}
}
