// Package trigger listens on the nodes for messages by which operators request runs.
package trigger

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

// Listener shares one subscription on each node among all listening jobs of a
// process. Without jobs it has none. It is safe for concurrent use.
type Listener struct {
	// Pipelines are the nodes' pipelines.
	Pipelines []*pipeline.Pipeline
	// Jitter returns a random duration, less than its argument.
	Jitter func(time.Duration) time.Duration
	// Heard is called for each trigger of a listening job, before the job's function.
	Heard func(t protocol.Trigger)
	// Unheard is called when the subscription to a node has failed twice in a row.
	Unheard func(node string, cause error)

	mu     sync.Mutex
	jobs   map[*job]struct{} // thousands may come and go at once
	heard  [16]string        // the last messages, to drop the copies from other nodes
	next   int               // the next index in heard, modulo its length
	end    context.CancelFunc
	closed bool
}

type job struct {
	name string
	run  func(t protocol.Trigger)
}

// Subscribable reports whether any node supports subscriptions.
func (l *Listener) Subscribable() bool {
	return slices.ContainsFunc(l.Pipelines, func(p *pipeline.Pipeline) bool { _, ok := p.Node().(driver.Subscriber); return ok })
}

// Listen calls run for each trigger of the name, until stop is called. ok is false
// if the Listener was closed. run must not block.
func (l *Listener) Listen(name string, run func(t protocol.Trigger)) (stop func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, false
	}
	j := &job{name: name, run: run}
	if l.jobs == nil {
		l.jobs = make(map[*job]struct{})
	}
	l.jobs[j] = struct{}{}
	if l.end == nil {
		var ctx context.Context
		ctx, l.end = context.WithCancel(context.Background())
		for _, p := range l.Pipelines {
			if sub, ok := p.Node().(driver.Subscriber); ok {
				go l.subscribe(ctx, p.Name(), sub)
			}
		}
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.jobs, j)
		l.endIfIdle()
	}, true
}

// Close ends all listening.
func (l *Listener) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.jobs, l.closed = nil, true
	l.endIfIdle()
}

// endIfIdle ends the subscriptions with the last job. The caller holds mu.
func (l *Listener) endIfIdle() {
	if len(l.jobs) == 0 && l.end != nil {
		l.end()
		l.end = nil
	}
}

// subscribe listens to one node until ctx ends. It subscribes again whenever the subscription is lost.
func (l *Listener) subscribe(ctx context.Context, node string, sub driver.Subscriber) {
	for try := 0; ; try++ {
		var ready atomic.Bool
		err := sub.Subscribe(ctx, protocol.TriggerChannel, func() { ready.Store(true) }, l.hear)
		if ctx.Err() != nil {
			return
		}
		if ready.Load() {
			try = 0
		}
		if try == 1 { // the first failure may be a restart or a failover
			l.Unheard(node, protocol.WhyEnded(err))
		}
		longest := protocol.SubscribePause(try)
		select {
		case <-time.After(longest/2 + l.Jitter(longest/2)):
		case <-ctx.Done():
		}
	}
}

// hear handles a message, which any client may have sent.
func (l *Listener) hear(message string) {
	t, ok := protocol.DecodeTrigger(message)
	if !ok {
		return
	}
	var jobs []*job
	l.mu.Lock()
	if !slices.Contains(l.heard[:], message) {
		for j := range l.jobs {
			if j.name == t.Name {
				jobs = append(jobs, j)
			}
		}
	}
	if len(jobs) > 0 {
		l.heard[l.next%len(l.heard)] = message
		l.next++
	}
	l.mu.Unlock()
	if len(jobs) == 0 {
		return
	}
	l.Heard(t)
	for _, j := range jobs {
		j.run(t)
	}
}
