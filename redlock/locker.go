package redlock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/feed"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
	"github.com/redtick/redtick/redlock/internal/trigger"
	"github.com/redtick/redtick/redlock/internal/waitqueue"
)

// Locker makes mutexes and jobs over a set of nodes. It is safe for concurrent use.
// Share one in the whole process, since it keeps one pipeline per node. All Lockers
// over the same nodes share their names.
type Locker struct {
	cfg        config
	group      *quorum.Group
	queue      *waitqueue.Queue
	renewer    renewer
	outages    outages
	turns      turns
	events     feed.Feed[Event]
	tokens     tokenSource
	parameters atomic.Pointer[protocol.Parameters] // of the newest target, for the next one to share
	triggers   trigger.Listener
	slots      chan struct{}   // holds one entry for each acquisition that is voting
	calls      atomic.Int64    // acquiring calls under way
	closing    context.Context // ends with Close
	close      context.CancelFunc
	idle       chan struct{} // closed once the Locker is closed and no call is under way
	idleOnce   sync.Once
}

// observerGrace is how long Close waits for the observer.
const observerGrace = time.Second

// maxVotes bounds the acquisitions that vote at a time. Further callers wait for a slot before they ask, so that their wait is not
// taken for a node's silence.
const maxVotes = 1024

// New returns a Locker over independent nodes. A majority of them, n/2 + 1,
// decides; an even number tolerates no more failures than the odd one below
// it. All processes need the same nodes; docs/operations.md says how to change
// them. New does not contact the nodes; see [Locker.Check]. If an option or the
// nodes are not valid, the error matches [ErrInvalid].
func New(nodes []driver.Node, opts ...LockerOption) (*Locker, error) {
	cfg := defaults()
	if err := apply(&cfg, opts); err != nil {
		return nil, err
	}
	derived := cfg // a copy, since a job's own options may lead to other derived values
	if err := derived.derive(); err != nil {
		return nil, err
	}
	l := &Locker{cfg: cfg, outages: outages{names: make(map[string]*outage)}, turns: turns{grants: make(map[string]*atomic.Uint32)}, tokens: tokenSource{random: cfg.random},
		slots: make(chan struct{}, maxVotes), idle: make(chan struct{}),
		renewer: renewer{born: time.Now(), due: make(map[time.Duration]map[*Lease]struct{})}}
	l.closing, l.close = context.WithCancel(context.Background())
	l.events.Handle = l.observe
	var err error
	if l.group, err = quorum.NewGroup(nodes, derived.nodeTimeout, l.reportNode); err != nil {
		return nil, invalid("%w", err)
	}
	id, err := l.tokens.next() // of this process, in the lines of waiters
	if err != nil {
		return nil, err
	}
	l.queue = waitqueue.New(l.closing, l.group, id, l.reportUnheard(NoticesUnheard))
	l.triggers = trigger.Listener{Pipelines: l.group.Pipelines, Jitter: cfg.jitter, Heard: l.reportTrigger, Unheard: l.reportUnheard(TriggersUnheard)}
	return l, nil
}

// NewMutex returns the lock of that name. With the prefix the name is the lock's key
// in Redis: 1 to 1024 bytes, with braces only around a Redis Cluster hash tag, and not
// one of the keys that redlock adds to a name. opts override the Locker's. NewMutex
// does not contact the nodes.
func (l *Locker) NewMutex(name string, opts ...MutexOption) (*Mutex, error) {
	m := new(Mutex)
	if err := initTarget(&m.t, l, name, true, opts); err != nil {
		return nil, err
	}
	return m, nil
}

// NewJob returns the job of that name, under the rules of [Locker.NewMutex]. A
// mutex and a job of one name exclude each other.
func (l *Locker) NewJob(name string, opts ...JobOption) (*Job, error) {
	j := new(Job)
	if err := initTarget(&j.t, l, name, false, opts); err != nil {
		return nil, err
	}
	if j.t.cfg.spread > 0 {
		j.grants = l.turns.of(j.t.name.Lock)
	}
	return j, nil
}

// CheckName returns the error with which [Locker.NewMutex] and [Locker.NewJob] would
// refuse the name, or nil. It is for adapters that learn a name long before they make
// its job.
func (l *Locker) CheckName(name string) error {
	if err := protocol.CheckName(l.cfg.prefix, name); err != nil {
		return invalid("%w", err)
	}
	return nil
}

func (l *Locker) reportNode(name string, out bool, cause error) {
	if out {
		l.Report(Event{Kind: NodeOut, Node: name, Err: protocol.WithCure(cause)})
	} else {
		l.Report(Event{Kind: NodeBack, Node: name})
	}
}

func (l *Locker) reportTrigger(t protocol.Trigger) {
	l.Report(Event{Kind: Triggered, Name: t.Name, Tick: protocol.Instant(t.Tick), By: protocol.Clip(t.By)})
}

func (l *Locker) reportUnheard(kind EventKind) func(node string, cause error) {
	return func(node string, cause error) { l.Report(Event{Kind: kind, Node: node, Err: cause}) }
}

// Close ends all acquisitions, including Locks that wait, with [ErrClosed], and ends
// renewal. Leases that are still held, and a leader's term, end at ValidUntil, so
// call Unlock and Resign first. Close then waits until the nodes have executed all
// pending releases. A release that a node does not execute within TTL + 1 s is
// dropped, since its keys have expired by then. The last try may take two node
// timeouts and a second more, so with a node out and defaults Close returns within
// about 33 s. Close the nodes' clients afterwards.
//
// If ctx ends earlier, the error names the nodes with pending releases. Before it
// returns, Close waits up to a second for the observer.
func (l *Locker) Close(ctx context.Context) error {
	l.beginCall()
	l.close()
	l.endCall() // closes idle if no other call is under way
	l.queue.Close()
	l.triggers.Close()
	var errs []error
	select {
	case <-l.idle:
	case <-ctx.Done():
		if l.calls.Load() > 0 {
			errs = append(errs, fmt.Errorf("redlock: closed while an acquisition was under way: %w", ctx.Err()))
		}
	}
	flushed := make([]<-chan struct{}, len(l.group.Pipelines))
	for i, p := range l.group.Pipelines { // all at once: from this call on, a pipeline chases late votes for a limited time only
		flushed[i] = p.Flushed()
	}
	for i, p := range l.group.Pipelines {
		select {
		case <-flushed[i]: // even if ctx has ended
			continue
		default:
		}
		select {
		case <-flushed[i]:
		case <-ctx.Done():
			errs = append(errs, &NodeError{Node: p.Name(), Err: fmt.Errorf("closed before it executed its releases: %w", ctx.Err())})
		}
	}
	for _, e := range l.outages.endAll() {
		l.queueEvent(e)
	}
	select {
	case <-l.events.Drained():
	case <-time.After(observerGrace):
		errs = append(errs, errors.New("redlock: closed before the observer, which is slow, was told everything that happened"))
	}
	return errors.Join(errs...)
}

// beginCall and endCall enclose each call that acquires, including the posting of its releases. Close waits for such calls.
func (l *Locker) beginCall() { l.calls.Add(1) }

func (l *Locker) endCall() {
	if l.calls.Add(-1) == 0 && l.closing.Err() != nil {
		l.idleOnce.Do(func() { close(l.idle) })
	}
}

// admit waits for a slot to vote, in order of arrival.
func (l *Locker) admit(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.closing.Done():
		return ErrClosed
	}
}

// stopped returns why a call must stop: ctx's error, or ErrClosed once the Locker is closed. It returns nil if it need not.
func (l *Locker) stopped(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.closing.Err() != nil {
		return ErrClosed
	}
	return nil
}
