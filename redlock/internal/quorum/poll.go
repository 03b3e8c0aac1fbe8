package quorum

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/pipeline"
)

// Request is a command and the decoder of its reply.
type Request struct {
	pipeline.Request
	Decode func(driver.Reply) Answer
	DryRun bool // the command changes nothing
}

// Group is a set of nodes of which a majority decides. It is safe for concurrent
// use.
type Group struct {
	Pipelines []*pipeline.Pipeline
	Quorum    int
	timers    sync.Pool // of stopped timers: a new one for each wait would double a vote's memory
}

// NewGroup returns the group of nodes, each with a pipeline; see [pipeline.New]. It
// rejects a node that is nil or listed twice.
func NewGroup(nodes []driver.Node, timeout time.Duration, report func(node string, out bool, cause error)) (*Group, error) {
	names, err := namesOf(nodes)
	if err != nil {
		return nil, err
	}
	g := &Group{Quorum: len(nodes)/2 + 1}
	for i, n := range nodes {
		g.Pipelines = append(g.Pipelines, pipeline.New(n, names[i], timeout, report))
	}
	g.timers.New = func() any {
		t := time.NewTimer(time.Hour)
		t.Stop()
		return t
	}
	return g, nil
}

// namesOf returns the nodes' names. It rejects a node that is nil or listed twice: a
// majority means nothing if one server has two votes.
func namesOf(nodes []driver.Node) ([]string, error) {
	if len(nodes) == 0 {
		return nil, errors.New("no nodes; pass at least one, or an odd number of independent ones to survive failures")
	}
	var names []string
	for i, n := range nodes {
		if v := reflect.ValueOf(n); n == nil || v.Kind() == reflect.Pointer && v.IsNil() {
			return nil, fmt.Errorf("node %d of %d is nil; was its client made?", i+1, len(nodes))
		}
		name := fmt.Sprintf("node %d", i+1)
		if s, ok := n.(fmt.Stringer); ok {
			name = s.String()
		}
		if same := slices.Index(names, name); same >= 0 {
			return nil, fmt.Errorf("nodes %d and %d are the same (%s); every node needs a Redis of its own", same+1, i+1, name)
		}
		names = append(names, name)
	}
	return names, nil
}

// Poll sends one request to the nodes and counts their answers. Replies are counted
// on the goroutines that read them, and the caller is woken once.
type Poll struct {
	Start time.Time // before the first command was sent

	group *Group

	mu      sync.Mutex
	certain func(*Poll) // called once the outcome is certain; it must not block
	tally   Tally       // of the answers so far
	calls   []ballot
	enough  func(*Tally) bool // reports whether the answers end the wait; nil while nobody waits
	wake    chan struct{}     // closed, and enough set to nil, at the end of the wait
	// release is set by GiveUp, and called for each node that grants, or may have granted. It must not block.
	release func(node int, release pipeline.Class)
}

// ballot is the call to one node.
type ballot struct {
	pipeline.Call
	decode func(driver.Reply) Answer
	dryRun bool
}

// NewPoll prepares a poll of all nodes. With up to five of them it is a single allocation.
func (g *Group) NewPoll() *Poll {
	var p *Poll
	switch n := len(g.Pipelines); {
	case n == 1:
		few := new(struct {
			Poll
			answers [1]Answer
			calls   [1]ballot
		})
		p = &few.Poll
		p.tally.Answers, p.calls = few.answers[:], few.calls[:]
	case n <= 5:
		few := new(struct {
			Poll
			answers [5]Answer
			calls   [5]ballot
		})
		p = &few.Poll
		p.tally.Answers, p.calls = few.answers[:n], few.calls[:n]
	default:
		p = &Poll{tally: Tally{Answers: make([]Answer, n)}, calls: make([]ballot, n)}
	}
	p.group, p.Start = g, time.Now()
	p.tally.Quorum, p.tally.Pending = g.Quorum, len(p.calls)
	return p
}

// Ask sends the request to every node, in order, for a caller that then waits
// until ctx ends. A request that is still queued at until is not sent.
func (g *Group) Ask(ctx context.Context, r Request, until time.Time, c pipeline.Class) *Poll {
	p := g.NewPoll()
	for i := range p.calls {
		p.AskOne(ctx, i, r, until, c)
	}
	return p
}

// Renew sends a renewal to every node, without waiting. certain, if not nil, is
// called once the outcome is certain. It must not block.
func (g *Group) Renew(r Request, until time.Time, certain func(*Poll)) *Poll {
	p := g.NewPoll()
	p.certain = certain
	for i := range p.calls {
		p.AskOne(context.Background(), i, r, until, pipeline.Renewal)
	}
	return p
}

// Send sends a request to every node and discards the replies. The request queues
// with the votes, because a claim's confirm must not overtake the claim's vote.
func (g *Group) Send(r Request, until time.Time) {
	for _, p := range g.Pipelines {
		p.Send(r.Request, until, pipeline.Question)
	}
}

// AskOne sends the request to one node, for a caller that then waits until ctx
// ends. If the group has no other node, AskOne may itself wait for the answer,
// except to a renewal.
func (p *Poll) AskOne(ctx context.Context, node int, r Request, until time.Time, c pipeline.Class) {
	b, to := &p.calls[node], p.group.Pipelines[node]
	*b = ballot{decode: r.Decode, dryRun: r.DryRun, Call: pipeline.Call{
		Request: r.Request, To: p, Index: node, Until: until, Class: c}}
	now := time.Now() // not Start, since another node may have been asked first
	if len(p.calls) == 1 && c != pipeline.Renewal {
		to.Exchange(ctx, &b.Call, now)
	} else {
		to.Post(&b.Call, now)
	}
}

// Asked reports whether the node was asked.
func (p *Poll) Asked(node int) bool { return p.calls[node].To != nil }

// GiveUp calls release for every node that granted the request or may have done
// so. It also does so later, for every late answer that is a grant or a failure.
// Most late answers are refusals, and cost nothing. A call that was not sent is
// cancelled.
func (p *Poll) GiveUp(release func(node int, c pipeline.Class)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release = release
	for i := range p.calls {
		p.takeBack(i)
	}
}

// takeBack calls release for a node if needed, but leaves a pending answer to Receive. The caller holds mu.
func (p *Poll) takeBack(node int) {
	if c, ok := p.mayHold(node); ok && p.tally.Answers[node].Verdict != Pending {
		p.release(node, c)
	}
}

// MayHold reports whether the node granted the request or may still do so, and
// the class of its release. A call that was not sent is cancelled.
func (p *Poll) MayHold(node int) (release pipeline.Class, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mayHold(node)
}

// mayHold is MayHold for a caller that holds mu.
func (p *Poll) mayHold(node int) (release pipeline.Class, ok bool) {
	a, b := &p.tally.Answers[node], &p.calls[node]
	if b.To == nil || b.dryRun || !p.group.Pipelines[node].Cancel(&b.Call) {
		return pipeline.Release, false
	}
	switch a.Verdict {
	case Pending, Failed: // it may have been granted and the answer lost
		// A server does not execute later what it has answered, even with an error. So only silence is chased.
		if a.Err == nil || !driver.Answered(a.Err) {
			return pipeline.Chase, true
		}
		return pipeline.Release, true
	}
	return pipeline.Release, a.Verdict == Granted
}

// Receive counts one node's answer.
func (p *Poll) Receive(node int, r driver.Reply) {
	a := p.calls[node].decode(r)
	p.mu.Lock()
	was := &p.tally.Answers[node]
	unanswered := was.Err != nil && !driver.Answered(was.Err) // a try of a release that may have been executed
	switch {
	case was.Verdict != Pending:
	case a.Verdict == Failed && p.calls[node].Class >= pipeline.Release: // its pipeline sends it again
		if !unanswered {
			was.Err = a.Err
		}
	case a.Verdict == Refused && unanswered: // nobody knows whether the lock was ours at that try
		was.Verdict = Failed
	default:
		*was = a
	}
	p.tally = Count(p.tally.Answers, p.tally.Quorum)
	var certain func(*Poll)
	if p.tally.Certain() {
		certain, p.certain = p.certain, nil // called once
	}
	if p.enough != nil && p.enough(&p.tally) {
		p.enough = nil
		close(p.wake)
	}
	if p.release != nil {
		p.takeBack(node)
	}
	p.mu.Unlock()
	if certain != nil {
		certain(p)
	}
}

// Wait returns as soon as the outcome is certain, limit has passed, or ctx ends.
// In the last case it returns ctx's error. While a missing node still answers other
// calls, Wait extends limit, until busy has passed since the poll's start.
func (p *Poll) Wait(ctx context.Context, limit, busy time.Duration) error {
	for step := max(limit/4, time.Millisecond); ; limit = step {
		err := p.WaitFor(ctx, limit, (*Tally).Certain)
		if err != nil || time.Since(p.Start) > busy || !p.responsive() {
			return err
		}
	}
}

// WaitForOne waits until the outcome is certain, the node has answered, limit has
// passed, or ctx ends. In the last case it returns ctx's error.
func (p *Poll) WaitForOne(ctx context.Context, limit time.Duration, node int) error {
	return p.WaitFor(ctx, limit, func(t *Tally) bool { return t.Certain() || t.Answers[node].Verdict != Pending })
}

// WaitFor waits until enough reports true, limit has passed, or ctx ends. In the
// last case it returns ctx's error.
func (p *Poll) WaitFor(ctx context.Context, limit time.Duration, enough func(*Tally) bool) error {
	p.mu.Lock()
	if enough(&p.tally) {
		p.mu.Unlock()
		return nil
	}
	p.enough, p.wake = enough, make(chan struct{})
	p.mu.Unlock()
	timer := p.group.timers.Get().(*time.Timer)
	timer.Reset(limit)
	select {
	case <-p.wake:
	case <-timer.C:
	case <-ctx.Done():
	}
	timer.Stop()
	p.group.timers.Put(timer)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.enough == nil {
		return nil // even if ctx has ended: do not discard a vote that was won
	}
	p.enough = nil
	return ctx.Err()
}

// Tally returns the state of the vote so far.
func (p *Poll) Tally() Tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tally
	t.Answers = slices.Clone(t.Answers)
	return t
}

// responsive reports whether the outcome is open and a missing answer may come soon, because its node still answers other calls. A
// release that has failed is sent again, but not soon.
func (p *Poll) responsive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tally.Certain() {
		return false
	}
	now := time.Now()
	for i := range p.tally.Answers {
		if a := &p.tally.Answers[i]; a.Verdict == Pending && a.Err == nil && p.Asked(i) && p.group.Pipelines[i].Responsive(now) {
			return true
		}
	}
	return false
}
