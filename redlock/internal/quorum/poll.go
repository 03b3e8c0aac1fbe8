package quorum

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/pipeline"
)

// Request is a command and what its reply means.
type Request struct {
	pipeline.Request
	Decode func(driver.Reply) Answer
	DryRun bool // it changes nothing
}

// Group is the nodes that decide together. It is safe for concurrent use.
type Group struct {
	Pipelines []*pipeline.Pipeline
	Quorum    int
	timers    sync.Pool // stopped, to be reused: a new timer for each wait would double a vote's memory
}

// NewGroup returns a group in which a majority decides.
func NewGroup(pipelines []*pipeline.Pipeline) *Group {
	return &Group{Pipelines: pipelines, Quorum: len(pipelines)/2 + 1}
}

// Poll is one request put to the nodes, and the count of their answers. Replies
// are counted on the goroutines that read them, and the caller is woken once.
type Poll struct {
	Start time.Time

	group   *Group
	settled func() // called once instead of waking somebody; it must not block

	mu      sync.Mutex
	answers []Answer
	calls   []ballot
	first   int           // the node whose answer alone ends a Wait, or -1
	wake    chan struct{} // made by the first call that waits
	certain bool
	// release is set by GiveUp, and called for each node that grants after that, or may have granted. It must not block.
	release func(node int, release pipeline.Class)
}

// ballot is what one node is asked.
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
		p.answers, p.calls = few.answers[:], few.calls[:]
	case n <= 5:
		few := new(struct {
			Poll
			answers [5]Answer
			calls   [5]ballot
		})
		p = &few.Poll
		p.answers, p.calls = few.answers[:n], few.calls[:n]
	default:
		p = &Poll{answers: make([]Answer, n), calls: make([]ballot, n)}
	}
	p.group, p.Start, p.first = g, time.Now(), -1
	return p
}

// Ask puts the request to every node, in order, for a caller that then waits
// until ctx ends. It is not sent later than until.
func (g *Group) Ask(ctx context.Context, r Request, until time.Time, c pipeline.Class) *Poll {
	p := g.NewPoll()
	for i := range p.calls {
		p.AskOne(ctx, i, r, until, c)
	}
	return p
}

// AskThen is Ask for a caller that goes on at once. settled, if any, is called
// once the outcome is certain. It must not block.
func (g *Group) AskThen(r Request, until time.Time, c pipeline.Class, settled func(*Poll)) *Poll {
	p := g.NewPoll()
	if settled != nil {
		p.settled = func() { settled(p) }
	}
	for i := range p.calls {
		g.Pipelines[i].Post(p.prepare(i, r, until, c), p.Start)
	}
	return p
}

// Tell is [pipeline.Pipeline.Send] to every node.
func (g *Group) Tell(r Request, until time.Time) {
	now, calls := time.Now(), make([]pipeline.Call, len(g.Pipelines))
	for i, p := range g.Pipelines {
		calls[i] = pipeline.Call{Request: r.Request, To: pipeline.Nobody{}, Until: until}
		p.Post(&calls[i], now)
	}
}

// AskOne puts the request to one node, for a caller that then waits until ctx
// ends. If the group has no other node, AskOne may itself wait for the answer.
func (p *Poll) AskOne(ctx context.Context, node int, r Request, until time.Time, c pipeline.Class) {
	call := p.prepare(node, r, until, c)
	now := time.Now() // not Start, since another node may have been asked first
	if len(p.calls) == 1 {
		p.group.Pipelines[node].Exchange(ctx, call, now)
	} else {
		p.group.Pipelines[node].Post(call, now)
	}
}

func (p *Poll) prepare(node int, r Request, until time.Time, c pipeline.Class) *pipeline.Call {
	p.calls[node] = ballot{decode: r.Decode, dryRun: r.DryRun, Call: pipeline.Call{
		Request: r.Request, To: p, Index: node, Until: until, Class: c}}
	return &p.calls[node].Call
}

// Asked reports whether the node was asked.
func (p *Poll) Asked(node int) bool { return p.calls[node].To != nil }

// GiveUp calls release for every node that granted the request or may have done
// so, and later for every node whose late answer says the same. A late refusal,
// as most are, costs nothing. A call that was not sent is cancelled.
func (p *Poll) GiveUp(release func(node int, c pipeline.Class)) {
	p.mu.Lock()
	p.release = release
	answers := slices.Clone(p.answers)
	p.mu.Unlock()
	for i := range answers {
		p.takeBack(i, &answers[i], release)
	}
}

func (p *Poll) takeBack(node int, a *Answer, release func(node int, c pipeline.Class)) {
	sent := p.wasSent(node)
	if c, ok := toRelease(a); ok && sent && a.Verdict != Pending { // a pending answer is left to Receive
		release(node, c)
	}
}

// toRelease reports whether a node with this answer may hold what it was asked for, and how to release it. A server that has
// answered, even with an error, does not execute the command later, so only silence is chased.
func toRelease(a *Answer) (c pipeline.Class, ok bool) {
	switch a.Verdict {
	case Granted:
		return pipeline.Release, true
	case Pending, Failed: // it may have been granted and the answer lost
		if a.Err != nil && driver.Answered(a.Err) {
			return pipeline.Release, true
		}
		return pipeline.Chase, true
	}
	return pipeline.Release, false
}

// wasSent reports whether the node was sent a request that changes something. One that is still queued is cancelled.
func (p *Poll) wasSent(node int) bool {
	b := &p.calls[node]
	return b.To != nil && !b.dryRun && p.group.Pipelines[node].Cancel(&b.Call)
}

// MayHold reports whether the node granted the request, or may do so yet, and
// how to release it. A call that was not sent is cancelled.
func (p *Poll) MayHold(node int) (release pipeline.Class, ok bool) {
	if !p.wasSent(node) {
		return pipeline.Release, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return toRelease(&p.answers[node])
}

// Receive counts one node's answer.
func (p *Poll) Receive(node int, r driver.Reply) {
	a := p.calls[node].decode(r)
	p.mu.Lock()
	if p.answers[node].Verdict == Pending {
		p.answers[node] = a
	}
	t := Count(p.answers, p.group.Quorum)
	news := !p.certain && t.Certain()
	p.certain = p.certain || news
	awaited := node == p.first
	release, wake := p.release, p.wake
	p.mu.Unlock()
	if release != nil {
		p.takeBack(node, &a, release)
	}
	switch {
	case news && p.settled != nil:
		p.settled()
	case news || awaited:
		select {
		case wake <- struct{}{}:
		default: // nobody waits yet, or a wake-up is pending already
		}
	}
}

// Wait returns the tally as soon as the outcome is certain, limit has passed, or
// ctx ends. In the last case the error is ctx's.
func (p *Poll) Wait(ctx context.Context, limit time.Duration) (Tally, error) {
	return p.WaitFor(ctx, -1, limit)
}

// WaitFor is Wait, but also returns once the node first has answered.
func (p *Poll) WaitFor(ctx context.Context, first int, limit time.Duration) (t Tally, err error) {
	if p.over(first) {
		return p.Tally(), nil
	}
	timer, used := p.group.timers.Get().(*time.Timer)
	if used {
		timer.Reset(limit)
	} else {
		timer = time.NewTimer(limit)
	}
	for timedOut := false; !timedOut && err == nil && !p.over(first); {
		select {
		case <-p.wake:
		case <-timer.C:
			timedOut = true
		case <-ctx.Done():
			if !p.over(first) { // a vote that is won is not thrown away
				err = ctx.Err()
			}
		}
	}
	timer.Stop()
	p.group.timers.Put(timer)
	return p.Tally(), err
}

// over reports whether there is nothing to wait for. If there is, Receive will wake the caller.
func (p *Poll) over(first int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.first = first
	if p.wake == nil {
		p.wake = make(chan struct{}, 1)
	}
	return p.certain || first >= 0 && p.answers[first].Verdict != Pending
}

// Tally returns the state of the vote so far.
func (p *Poll) Tally() Tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Count(slices.Clone(p.answers), p.group.Quorum)
}

// Responsive reports whether a missing answer may still come soon, because its
// node keeps answering others.
func (p *Poll) Responsive(t *Tally) bool {
	now := time.Now()
	for i := range t.Answers {
		if t.Answers[i].Verdict == Pending && p.Asked(i) && p.group.Pipelines[i].Responsive(now) {
			return true
		}
	}
	return false
}
