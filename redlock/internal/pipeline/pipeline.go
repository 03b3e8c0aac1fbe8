// Package pipeline is the only way to a node: calls queue up and go out in
// batches, one at a time, each batch as one pipeline on one connection.
//
// So a release never overtakes its own acquire, a hung node holds up one batch
// and one connection whatever the load, and concurrent callers share round
// trips. A call that must be delivered is kept until the server has executed it.
package pipeline

import (
	"container/heap"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// Request is a command for a node.
type Request struct {
	Command driver.Command
	// Script is the script that the command runs, if it is an EVALSHA.
	Script *Script
	// Legacy is the script that runs instead on a server that answers the command with a syntax error. The
	// command's first argument becomes its key, the others become its arguments.
	Legacy *Script
}

// Class says how a pipeline treats a call.
type Class uint8

// The classes, in the order of their importance. Up to Vote they wait behind all others, from Release on they are kept.
const (
	// Question is any other call. It does not tell whether the node votes, because a replica answers questions, too.
	Question Class = iota
	// Vote is a new acquisition. Renewals and releases go first, so that a flood of votes costs nobody a lease.
	Vote
	Renewal
	// Release is kept until the server has executed it, or Until has passed.
	Release
	// Chase is a Release of a call that was not answered. A hung node may execute that call whenever it resumes, so a Chase
	// is kept for maxChase past Until, and until ChaseUntil.
	Chase
)

// Call is one request on its way to a node. A Pipeline owns it until it is answered or cancelled.
type Call struct {
	Request
	// To receives the reply, together with Index, on the goroutine that read it. It must not block. A Release or Chase that fails is
	// sent again, and To receives each failure and the first reply of an execution.
	To    Receiver
	Index int
	// Until is when the call becomes too late to be sent.
	Until time.Time
	Class Class
	// ChaseUntil is when it no longer matters whether the node executes the chased call.
	ChaseUntil time.Time

	stage    stage     // guarded by the pipeline
	attempts uint8     // how often it has been resent
	resendAt time.Time // when to resend it, while it is delayed
}

type stage uint8

const (
	queued stage = iota
	sent
	dropped
)

// Receiver gets the reply to a call.
type Receiver interface {
	Receive(index int, r driver.Reply)
}

// Discard is a Receiver for a reply that is not needed.
type Discard struct{}

// Receive does nothing.
func (Discard) Receive(int, driver.Reply) {}

// Pipeline is the queue and the connection of one node. It is safe for
// concurrent use. Its goroutine runs only while there is something to send.
type Pipeline struct {
	node     driver.Node
	name     string
	punctual bool // Do returns by its context's deadline, which is near enough for Exchange
	report   func(node string, out bool, cause error)
	sender   func() // the method run as a value, because a go statement with a method allocates each time

	mu      sync.Mutex
	urgent  []*Call // renewals and releases
	votes   []*Call
	delayed delayed // to be resent
	sending bool
	sentAt  time.Time // when calls, and not a ping, were last sent
	loaded  []*Script // those that were sent in full
	tested  bool      // whether the server has answered SET with both NX and GET, which came with Redis 7.0
	legacy  bool      // it does not know that
	timer   *time.Timer
	idle    chan struct{} // closed once nothing is left; nil while nobody waits in Flushed
	flushed time.Time     // when Flushed was called, which is at the end of its use; zero before
	breaker breaker

	// Only the goroutine that is sending uses these.
	batch    []*Call
	commands []driver.Command
	// limit ends some time after a batch should have been answered. Batches share one while enough time is left on it, because
	// making a context takes as long as writing a command.
	limit  context.Context
	cancel context.CancelFunc
}

// New returns a pipeline to node. A batch that takes longer than timeout counts
// as unanswered. report is called when the node goes out and when it is back, in
// that order; it must not block or call the pipeline. If it is nil, nobody is told,
// and a node that is out is asked only when there is something to send.
func New(node driver.Node, name string, timeout time.Duration, report func(node string, out bool, cause error)) *Pipeline {
	punctual, ok := node.(driver.Punctual)
	p := &Pipeline{node: node, name: name, punctual: ok && timeout <= maxExchange && punctual.Punctual(), report: report,
		breaker: breaker{timeout: timeout, most: maxBatch}, limit: context.Background(), cancel: func() {}}
	p.sender = p.run
	return p
}

// Name returns the node's name.
func (p *Pipeline) Name() string { return p.name }

// Node returns the node.
func (p *Pipeline) Node() driver.Node { return p.node }

// Post queues a call. While the node is out, or its batch overdue, a call that
// need not be delivered is refused at once.
func (p *Pipeline) Post(c *Call, now time.Time) {
	p.mu.Lock()
	if c.Class < Release && p.breaker.open(now) {
		c.stage = dropped
		cause := p.reportOut(true)
		p.mu.Unlock()
		c.To.Receive(c.Index, driver.Reply{Err: cause})
		return
	}
	if c.Class <= Vote {
		p.votes = append(p.votes, c)
	} else {
		p.urgent = append(p.urgent, c)
	}
	p.advance(now)
	p.mu.Unlock()
}

// reportOut reports that the node is out, or back, if that has changed. It returns why the node is out. The caller holds mu.
func (p *Pipeline) reportOut(out bool) (cause error) {
	if out {
		cause = p.breaker.error()
	}
	if out != p.breaker.reported {
		p.breaker.reported = out
		if p.report != nil {
			p.report(p.name, out, cause)
		}
	}
	return cause
}

// maxExchange is the longest timeout with which a caller sends by itself: it cannot notice meanwhile that it was cancelled. With a
// longer one, as for a slow link, handing the call over costs little in comparison.
const maxExchange = 500 * time.Millisecond

// Exchange is like Post for a caller that then waits for this reply until ctx ends.
// If nothing else is in progress, and ctx leaves enough time, the caller's goroutine
// sends the call, and the reply has been received on return.
func (p *Pipeline) Exchange(ctx context.Context, c *Call, now time.Time) {
	deadline, bounded := ctx.Deadline()
	short := ctx.Err() != nil || bounded && deadline.Sub(now) < longest(p.breaker.timeout)
	p.mu.Lock()
	alone := !short && p.punctual && !p.sending && p.breaker.fails == 0 && len(p.urgent)+len(p.votes)+len(p.delayed) == 0
	p.sending = p.sending || alone
	p.mu.Unlock()
	p.Post(c, now)
	if alone {
		defer p.stop() // even if the driver panics, since the caller may recover
		p.send(p.breaker.timeout)
	}
}

// stop ends the sending. If more was queued meanwhile, a new goroutine sends it.
func (p *Pipeline) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sending = false
	p.advance(time.Now())
}

// Send posts a request and discards its reply.
func (p *Pipeline) Send(r Request, until time.Time, class Class) {
	p.Post(&Call{Request: r, To: Discard{}, Until: until, Class: class}, time.Now())
}

// idleProbe is by how much the probes of a node that is out are delayed while there is nothing to send to it.
const idleProbe = 5*time.Second - lastProbe

// advance does what is next while nothing is being sent. It starts the sending goroutine, or sets the timer to when that may
// send, or wakes those who wait in Flushed because nothing is left. The caller holds mu.
func (p *Pipeline) advance(now time.Time) {
	if p.sending {
		return
	}
	var wait time.Duration
	switch {
	case len(p.urgent)+len(p.votes) > 0:
	case len(p.delayed) > 0:
		wait = p.delayed[0].resendAt.Sub(now)
	case p.idle != nil:
		close(p.idle)
		p.idle = nil
		return
	case p.report != nil && p.breaker.reported && p.breaker.fails >= outAfter && p.flushed.IsZero():
		// Somebody was told that the node is out, so notice that it is back even if nobody calls.
		wait = p.breaker.probeAt.Add(idleProbe).Sub(now)
	default:
		return
	}
	if p.breaker.skipping(now) {
		wait = max(wait, p.breaker.probeAt.Sub(now))
	}
	if wait <= 0 {
		p.sending = true
		go p.sender()
		return
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.timer = time.AfterFunc(wait, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.advance(time.Now())
	})
}

// LateTimeouts is for how many timeouts a pipeline waits for a batch's answers. An answer that is late for those who wait still tells
// what the node has executed, and until it comes no other call is sent.
const LateTimeouts = 2

// run sends batch after batch until nothing is left that may be sent.
func (p *Pipeline) run() {
	defer p.stop()
	_ = growStack(len(p.name))
	for p.send(LateTimeouts * p.breaker.timeout) {
		if len(p.batch) > 1 {
			// Let the callers just woken add to the next batch: deep batches cost less per call.
			runtime.Gosched()
		}
	}
}

// growStack grows the stack of a new goroutine at once. Drivers call deeply, so that it would otherwise grow in steps, each of
// which copies all their frames.
//
//go:noinline
func growStack(i int) byte {
	var room [4 << 10]byte
	return room[i%len(room)]
}

// send forms a batch and sends it, with at least atLeast until its deadline. It reports whether there was one.
func (p *Pipeline) send(atLeast time.Duration) bool {
	refused, cause := p.next(atLeast)
	for _, c := range refused {
		c.To.Receive(c.Index, driver.Reply{Err: cause})
	}
	if len(p.batch) == 0 {
		return false
	}
	var replies []driver.Reply
	defer func() { p.deliver(replies) }() // even if the driver panics, to keep calls that must be delivered
	replies = p.node.Do(p.limit, p.commands)
	return true
}

// longest returns the time on a new limit for a batch that needs d. The additional quarter lets later batches share it.
func longest(d time.Duration) time.Duration { return d + d/4 }

// next forms the next batch, with at least atLeast until its deadline. If the node is out, next returns the calls to refuse and
// why.
func (p *Pipeline) next(atLeast time.Duration) (refused []*Call, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now() // under the lock, as MayHaveSent compares with it
	clear(p.batch)
	clear(p.commands)
	p.batch, p.commands = p.batch[:0], p.commands[:0]
	var due []*Call
	for len(p.delayed) > 0 && !p.delayed[0].resendAt.After(now.Add(resendTogether)) {
		due = append(due, heap.Pop(&p.delayed).(*Call))
	}
	p.urgent = slices.Insert(p.urgent, 0, due...)
	switch {
	case p.breaker.skipping(now):
		return p.refuse(now), p.breaker.error()
	case p.breaker.fails >= outAfter:
		// A hung node may execute a vote whenever it resumes, so ask first whether it is back.
		p.batch, p.commands = append(p.batch, &Call{To: Discard{}}), append(p.commands, ping)
	default:
		p.sentAt = now
		p.urgent = p.fill(p.urgent, now)
		p.votes = p.fill(p.votes, now)
	}
	if len(p.batch) > 0 {
		p.breaker.since = now
		end, _ := p.limit.Deadline()
		if left := end.Sub(now); left < atLeast || left > longest(atLeast) {
			p.cancel()
			p.limit, p.cancel = context.WithDeadline(context.Background(), now.Add(longest(atLeast)))
		}
	}
	return nil, nil
}

var ping = driver.Command{"PING"}

// fill moves calls from a queue to the batch, and returns what is left of the queue.
func (p *Pipeline) fill(queue []*Call, now time.Time) []*Call {
	n, testing := 0, false
	for _, c := range queue {
		// If the server turns out not to know SET NX GET, the first one is resent as a script, so its release must not
		// be in the same batch.
		if len(p.batch) >= p.breaker.most || testing && c.Legacy == nil {
			break
		}
		n++
		if c.stage == dropped || p.expired(c, now) {
			c.stage = dropped
			continue
		}
		c.stage = sent
		testing = testing || c.Legacy != nil && !p.tested
		if c.Legacy != nil && p.legacy {
			c.Command, c.Script, c.Legacy = c.Legacy.Command(c.Command[1:2], c.Command[2:]...), c.Legacy, nil
		}
		if c.Script != nil && !slices.Contains(p.loaded, c.Script) {
			p.loaded = append(p.loaded, c.Script)
			c.Command, c.Script = c.Script.inFull(c.Command), nil
		}
		p.batch = append(p.batch, c)
		p.commands = append(p.commands, c.Command)
	}
	return slices.Delete(queue, 0, n)
}

// refuse removes the calls that need not be delivered from the queues. It returns those neither cancelled nor expired.
func (p *Pipeline) refuse(now time.Time) (refused []*Call) {
	var kept []*Call
	for _, c := range append(p.urgent, p.votes...) {
		switch {
		case c.stage == dropped, p.expired(c, now):
			c.stage = dropped
		case c.Class >= Release:
			kept = append(kept, c)
		default:
			c.stage = dropped
			refused = append(refused, c)
		}
	}
	p.urgent, p.votes = kept, nil
	return refused
}

// deliver hands the replies to the batch under way to their receivers.
func (p *Pipeline) deliver(replies []driver.Reply) {
	now := time.Now()
	for len(replies) < len(p.batch) {
		replies = append(replies, driver.Reply{Err: fmt.Errorf("driver left out a reply to command %d of %d", len(replies), len(p.batch))})
	}
	for i := range replies {
		replies[i].Err = ownTimeout(replies[i].Err)
	}
	p.mu.Lock()
	p.breaker.returned(p.batch, replies, now)
	p.keep(replies, now)
	// A node that was reported is out until it answers.
	_ = p.reportOut(!p.breaker.answered && p.breaker.reported || p.breaker.skipping(now) || p.breaker.refusing())
	p.mu.Unlock()
	for i, c := range p.batch {
		if c != nil { // else it is in the queue again
			c.To.Receive(c.Index, replies[i])
		}
	}
}

// maxChase bounds how long past its Until a call that chases another is kept.
const maxChase = time.Minute

// expired reports whether it is too late to send a call. A Chase is kept longer, because its node may hang until then; while
// somebody waits in Flushed, only long enough for one more try. The caller holds mu.
func (p *Pipeline) expired(c *Call, now time.Time) bool {
	switch {
	case !now.After(c.Until):
		return false
	case c.Class == Chase && p.idle == nil:
		return now.After(c.Until.Add(maxChase)) && now.After(c.ChaseUntil)
	}
	return c.Class != Chase || now.After(p.flushed.Add(afterHang))
}

// keep requeues calls that the server did not execute. A script or command that it does not know goes first, in a form that
// it knows. A call that must be delivered is resent after a pause.
func (p *Pipeline) keep(replies []driver.Reply, now time.Time) {
	var first []*Call
	for i, c := range p.batch {
		err := replies[i].Err
		if c.Legacy != nil && Executed(err) {
			p.tested = true
		}
		switch {
		case c.Script != nil && driver.ErrorCode(err) == "NOSCRIPT":
			p.loaded = nil // the server restarted and has forgotten all scripts
			c.Command, c.Script, c.stage = c.Script.inFull(c.Command), nil, queued
			first, p.batch[i] = append(first, c), nil
		case c.Legacy != nil && err != nil && strings.HasPrefix(err.Error(), "ERR syntax error"):
			p.tested, p.legacy, c.stage = true, true, queued
			first, p.batch[i] = append(first, c), nil
		case c.Class < Release:
		case !Executed(err):
			p.delay(c, c.To, now.Add(c.resendIn(now)))
		case len(first) > 0:
			// It may release one of the calls in first, so it must be resent after them.
			first = append(first, c.again(Discard{}, now))
		case now.Before(p.breaker.suspectUntil):
			// Order holds per connection only. A copy of the acquire that a driver resent, or that is in the socket of a
			// hung server, may be executed after this release. So resend the release after suspectUntil. Without the
			// extra resendTogether, the batch of a call that is due before could take it along.
			p.delay(c, Discard{}, p.breaker.suspectUntil.Add(resendTogether))
		}
	}
	p.urgent = slices.Insert(p.urgent, 0, first...)
}

// delay schedules a call to be resent at a time, unless it will have expired. The caller holds mu.
func (p *Pipeline) delay(c *Call, to Receiver, at time.Time) {
	if !p.expired(c, at) {
		heap.Push(&p.delayed, c.again(to, at))
	}
}

// delayed is a heap of calls, by when they are due. A node that refuses releases may have hundreds of thousands, of which a sorted
// slice resends half as many a second.
type delayed []*Call

func (d delayed) Len() int           { return len(d) }
func (d delayed) Less(i, k int) bool { return d[i].resendAt.Before(d[k].resendAt) }
func (d delayed) Swap(i, k int)      { d[i], d[k] = d[k], d[i] }
func (d *delayed) Push(c any)        { *d = append(*d, c.(*Call)) }

func (d *delayed) Pop() any {
	last := len(*d) - 1
	c := (*d)[last]
	*d = slices.Delete(*d, last, last+1)
	return c
}

const (
	// The pause before a call is resent grows from firstResend to lastResend.
	firstResend, lastResend = 10 * time.Millisecond, time.Second
	// resendTogether is how far apart two calls may be due that are resent in one batch.
	resendTogether = 5 * time.Millisecond
)

// resendIn returns the pause before the call is resent. It grows with each attempt, but shrinks again towards Until to give a
// node that mostly refuses more chances to execute the call.
func (c *Call) resendIn(now time.Time) time.Duration {
	pause := min(firstResend<<min(c.attempts, 8), lastResend)
	if left := c.Until.Sub(now); left > 0 {
		pause = min(pause, max(left/2, 10*firstResend))
	}
	return pause
}

// again returns a copy of the call to be resent at a time. If the call was executed, its receiver has the reply, so that to discards
// the next one.
func (c *Call) again(to Receiver, at time.Time) *Call {
	return &Call{Request: c.Request, To: to, Index: c.Index, Until: c.Until, Class: c.Class, ChaseUntil: c.ChaseUntil, attempts: min(c.attempts, 254) + 1, resendAt: at}
}

// Responsive reports whether the node answers, though perhaps slowly: its last
// batch was answered, and one is under way that is not overdue.
func (p *Pipeline) Responsive(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sending && p.breaker.answered && !p.breaker.open(now)
}

// Out reports whether the node was reported as out, and not as back since.
func (p *Pipeline) Out() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.breaker.reported
}

// MayHaveSent reports whether a renewal posted after since may have reached the
// node or may still do so: any call has been sent since, or a renewal is queued.
func (p *Pipeline) MayHaveSent(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.sentAt.Before(since) || slices.ContainsFunc(p.urgent, func(c *Call) bool { return c.Class == Renewal })
}

// Cancel removes a call from its queue. It reports whether the call had already been
// sent, so that the node may execute it.
func (p *Pipeline) Cancel(c *Call) (wasSent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.stage == queued {
		c.stage = dropped
	}
	return c.stage == sent
}

// Flushed returns a channel that is closed once no call is queued, in progress or
// waiting to be resent.
func (p *Pipeline) Flushed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle == nil {
		p.idle, p.flushed = make(chan struct{}), time.Now()
		// From now on a Chase expires earlier.
		p.delayed = slices.DeleteFunc(p.delayed, func(c *Call) bool { return p.expired(c, c.resendAt) })
		heap.Init(&p.delayed)
	}
	idle := p.idle
	p.advance(time.Now())
	return idle
}
