package redlock

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// maxBatch bounds a pipeline, so that a burst does not make everyone wait for the last of ten thousand replies.
const maxBatch = 1024

// call is one command on its way through one node's mailbox.
type call struct {
	to   receiver
	node int
	ask
	// until: not sent later than this.
	until time.Time
	// owed calls, which are releases, are kept for a node that does not answer.
	owed bool
	// again marks the repetition of a release; it is not repeated itself.
	again bool
	// tries is how often it was sent before without an answer.
	tries uint8

	stage stage // guarded by the mailbox
}

type stage uint8

const (
	queued stage = iota
	sent
	dropped
)

// receiver gets the reply to a call, on the goroutine that read it.
type receiver interface {
	receive(node int, r driver.Reply)
}

type nobody struct{}

func (nobody) receive(int, driver.Reply) {}

// mailbox is the only way to a node. It sends what it is given in order, one
// batch at a time; whatever arrives while a batch is under way forms the next
// one. So a release never overtakes its own acquire, a hung node holds up one
// batch and one connection whatever the load, and many callers share a round
// trip. Its goroutine runs only while there is something to send.
type mailbox struct {
	node    driver.Node
	name    string
	observe func(Event)

	mu      sync.Mutex
	queue   []*call
	busy    bool        // the flusher runs
	later   int         // repetitions that will be posted
	known   scriptSet   // scripts that were sent in full
	timer   *time.Timer // sends what is owed to a node that is out
	idle    chan struct{}
	breaker breaker

	// The flusher's own.
	batch    []*call
	commands []driver.Command
	limit    limit
}

func newMailbox(node driver.Node, name string, limit time.Duration, observe func(Event)) *mailbox {
	return &mailbox{node: node, name: name, observe: observe, breaker: breaker{limit: limit}}
}

// post queues a call. A node that is out refuses it at once, unless the call
// is owed.
func (b *mailbox) post(c *call) { b.postAt(c, time.Now()) }

// postAt is post for those who know what time it is.
func (b *mailbox) postAt(c *call, now time.Time) {
	b.mu.Lock()
	out := b.breaker.out(now)
	if out && !c.owed {
		c.stage = dropped
		news, err := b.breaker.news(true), b.breaker.outError()
		b.mu.Unlock()
		b.report(news, err)
		c.to.receive(c.node, driver.Reply{Err: err})
		return
	}
	b.queue = append(b.queue, c)
	b.start(now)
	b.mu.Unlock()
}

// postFirst puts an owed call ahead of what is in line.
func (b *mailbox) postFirst(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = slices.Insert(b.queue, 0, c)
	b.start(time.Now())
}

// send posts a command whose reply nobody needs.
func (b *mailbox) send(a ask, until time.Time, owed bool) {
	b.post(&call{to: nobody{}, ask: a, until: until, owed: owed})
}

// start runs the flusher: now, or when the next probe is due.
func (b *mailbox) start(now time.Time) {
	switch {
	case b.busy:
	case !b.breaker.failing(now):
		b.busy = true
		go b.flush()
	case b.timer == nil:
		b.timer = time.AfterFunc(b.breaker.probeAt.Sub(now), func() {
			b.mu.Lock()
			b.timer = nil
			b.start(time.Now())
			b.mu.Unlock()
		})
	}
}

// flush sends batch after batch until there is nothing left that may be sent.
func (b *mailbox) flush() {
	for deep := false; ; deep = len(b.batch) > 1 {
		if deep {
			// Whoever is runnable may add to the batch first: deeper batches cost less per call.
			runtime.Gosched()
		}
		refused, out, more := b.take()
		for _, c := range refused {
			c.to.receive(c.node, driver.Reply{Err: out})
		}
		if !more {
			return
		}
		b.deliver(b.node.Do(b.limit.ctx, b.commands))
	}
}

// limit is a context that ends some time after a batch should have been
// answered. Batches share it while enough is left of it: to make one takes as
// long as to write a command.
type limit struct {
	ctx    context.Context
	cancel context.CancelFunc
	end    time.Time
}

// leave sees to it that at least d, and at most twice that, is left.
func (l *limit) leave(now time.Time, d time.Duration) {
	if l.end.Sub(now) >= d {
		return
	}
	if l.cancel != nil {
		l.cancel()
	}
	l.end = now.Add(2 * d)
	l.ctx, l.cancel = context.WithDeadline(context.Background(), l.end)
}

// take forms the next batch. Without one the flusher ends; if that is because
// the node is out, calls that want an answer now are refused.
func (b *mailbox) take() (refused []*call, out error, more bool) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.batch)
	clear(b.commands)
	b.batch, b.commands = b.batch[:0], b.commands[:0]
	if b.breaker.failing(now) {
		refused, out = b.refuse(), b.breaker.outError()
	} else {
		b.fill(now)
	}
	if len(b.batch) > 0 {
		b.breaker.since = now
		b.limit.leave(now, 4*b.breaker.limit)
		return nil, nil, true
	}
	b.busy = false
	if len(b.queue) > 0 {
		b.start(now)
	}
	b.settle()
	return refused, out, false
}

func (b *mailbox) fill(now time.Time) {
	n := 0
	for _, c := range b.queue {
		if len(b.batch) == maxBatch {
			break
		}
		n++
		if c.stage == dropped || now.After(c.until) {
			c.stage = dropped
			continue
		}
		c.stage = sent
		if c.script != nil && !b.known.has(c.script) {
			b.known.add(c.script)
			c.cmd, c.script = c.script.inFull(c.cmd), nil
		}
		b.batch = append(b.batch, c)
		b.commands = append(b.commands, c.cmd)
	}
	kept := append(b.queue[:0], b.queue[n:]...)
	clear(b.queue[len(kept):])
	b.queue = kept
}

func (b *mailbox) refuse() (refused []*call) {
	var kept []*call
	for _, c := range b.queue {
		switch {
		case c.stage == dropped:
		case c.owed:
			kept = append(kept, c)
		default:
			c.stage = dropped
			refused = append(refused, c)
		}
	}
	b.queue = kept
	return refused
}

// deliver hands out the replies to the batch under way.
func (b *mailbox) deliver(replies []driver.Reply) {
	now := time.Now()
	for len(replies) < len(b.batch) {
		replies = append(replies, driver.Reply{Err: fmt.Errorf("driver left out a reply to command %d of %d", len(replies), len(b.batch))})
	}
	alive, cause := false, error(nil)
	for i := range replies {
		replies[i].Err = ownTimeout(replies[i].Err)
		alive = alive || answered(replies[i])
		cause = replies[i].Err
	}
	b.mu.Lock()
	hung := now.Sub(b.breaker.since)
	b.breaker.returned(alive, cause, now)
	b.resend(replies, alive, now)
	b.prolong(hung)
	out := error(nil)
	if !alive && (b.breaker.told || b.breaker.failing(now)) {
		out = b.breaker.outError()
	}
	news := b.breaker.news(out != nil)
	b.mu.Unlock()
	b.report(news, out)
	for i, c := range b.batch {
		if c != nil {
			c.to.receive(c.node, replies[i])
		}
	}
}

// resend puts back, ahead of the queue, what must be sent again: scripts the
// node does not know, now in full, with the releases that came after them; and
// releases that got no answer. A release that a shaky node answered is
// repeated a little later: order holds per connection only, and a copy of the
// acquire, resent by the driver or stuck in a socket, may be executed after
// the release; SET NX knows no tombstones.
func (b *mailbox) resend(replies []driver.Reply, alive bool, now time.Time) {
	var again []*call
	for i, c := range b.batch {
		switch {
		case c.script != nil && noScript(replies[i].Err):
			b.known = 0 // it restarted
			c.cmd, c.script, c.stage = c.script.inFull(c.cmd), nil, queued
			again = append(again, c)
			b.batch[i] = nil
		case !c.owed:
		case again == nil && alive && c.tries > 0 && !answered(replies[i]):
			b.repeat(c.copy()) // the breaker does not slow it down: others in its batch are answered
		case again != nil || !answered(replies[i]):
			again = append(again, c.copy())
		case now.Before(b.breaker.shaky) && !c.again:
			b.repeat(c.copy())
		}
	}
	if again != nil {
		b.queue = append(again, b.queue...)
	}
}

// prolong keeps what is owed for as long as the batch before it hung: the node
// may have an acquire in a socket, and executes it whenever it goes on.
func (b *mailbox) prolong(hung time.Duration) {
	if hung <= b.breaker.limit {
		return
	}
	for _, c := range b.queue {
		if c.owed {
			c.until = c.until.Add(hung)
		}
	}
}

// copy is the same call for nobody: its first outcome was told.
func (c *call) copy() *call {
	return &call{to: nobody{}, node: c.node, ask: c.ask, until: c.until, owed: true, again: c.again, tries: min(c.tries, 254) + 1}
}

func (b *mailbox) repeat(c *call) {
	c.again = true
	b.later++
	time.AfterFunc(repeatAfter, func() {
		b.post(c)
		b.mu.Lock()
		b.later--
		b.settle()
		b.mu.Unlock()
	})
}

// moves tells whether the node answers, though perhaps slowly: the batch under
// way is not overdue.
func (b *mailbox) moves(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.busy && !b.breaker.out(now) && b.breaker.answered
}

// withdraw takes a call out of line. It tells whether it was sent: then the
// node may have executed it, or still will.
func (b *mailbox) withdraw(c *call) (wasSent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.stage == queued {
		c.stage = dropped
	}
	return c.stage == sent
}

// asks tells whether a call was sent or will be.
func (b *mailbox) asks(c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return c.stage != dropped
}

// flushed returns a channel that is closed once nothing is queued, under way or owed.
func (b *mailbox) flushed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle == nil {
		b.idle = make(chan struct{})
	}
	idle := b.idle
	b.settle()
	return idle
}

func (b *mailbox) settle() {
	if b.idle != nil && b.quiet() {
		close(b.idle)
		b.idle = nil
	}
}

func (b *mailbox) quiet() bool { return !b.busy && len(b.queue) == 0 && b.later == 0 }

func (b *mailbox) idleNow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.quiet()
}

func (b *mailbox) report(news bool, out error) {
	switch {
	case !news:
	case out != nil:
		b.observe(Event{Kind: NodeOut, Node: b.name, Err: out})
	default:
		b.observe(Event{Kind: NodeBack, Node: b.name})
	}
}

// ownTimeout keeps what a batch's own limit, or a driver's, has ended from
// looking like the end of the caller's context.
func ownTimeout(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return timedOut{err}
	}
	return err
}

type timedOut struct{ cause error }

func (e timedOut) Error() string { return e.cause.Error() }

// Is and As let callers look at a driver's error, such as a net.Error, all the same.
func (e timedOut) Is(target error) bool {
	return target != context.DeadlineExceeded && target != context.Canceled && errors.Is(e.cause, target)
}

func (e timedOut) As(target any) bool { return errors.As(e.cause, target) }

func noScript(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT")
}
