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
	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
	"github.com/redtick/redtick/redlock/internal/trigger"
	"github.com/redtick/redtick/redlock/internal/waitqueue"
)

// Locker is a set of nodes plus defaults, from which mutexes and jobs are made. It
// is safe for concurrent use. Share one in the whole process, since it keeps one
// pipeline per node. All Lockers over the same nodes share their names.
type Locker struct {
	cfg      config
	group    *quorum.Group
	queue    *waitqueue.Queue
	renewer  renewer
	outages  outages
	events   feed.Feed[Event]
	tokens   tokenSource
	triggers trigger.Listener
	slots    chan struct{} // holds one entry for each acquisition that is voting
	closing  chan struct{}
	close    sync.Once
	deciding atomic.Int64  // acquisitions under way
	decided  chan struct{} // closed once the Locker is closed and none is under way
	last     sync.Once
}

// observerGrace is how long Close waits for the observer.
const observerGrace = time.Second

// maxVotes bounds the acquisitions that vote at a time. Further callers wait for a slot first, so that their waiting does not
// count as a node's silence.
const maxVotes = 1024

// New returns a Locker over independent nodes. A majority of them, n/2 + 1,
// decides; an even number tolerates no more failures than the odd one below
// it. All processes need the same nodes; docs/operations.md says how to change
// them. New does not contact the nodes.
func New(nodes []driver.Node, opts ...LockerOption) (*Locker, error) {
	cfg := defaults()
	if err := apply(&cfg, opts); err != nil {
		return nil, err
	}
	derived := cfg // what is derived may differ for a job that has options of its own
	if err := derived.derive(); err != nil {
		return nil, err
	}
	names, err := pipeline.Names(nodes)
	if err != nil {
		return nil, invalid("%w", err)
	}
	l := &Locker{cfg: cfg, outages: outages{jobs: make(map[string]*outage)}, tokens: tokenSource{random: cfg.random},
		slots: make(chan struct{}, maxVotes), closing: make(chan struct{}), decided: make(chan struct{}),
		renewer: renewer{born: time.Now(), due: make(map[time.Duration]map[*Lease]struct{})}}
	l.events.Tell = l.observe
	id, err := l.tokens.next()
	if err != nil {
		return nil, err
	}
	pipelines := make([]*pipeline.Pipeline, len(nodes))
	for i, n := range nodes {
		pipelines[i] = pipeline.New(n, names[i], derived.nodeTimeout, func(out bool, cause error) { l.reportNode(names[i], out, cause) })
	}
	l.group = quorum.NewGroup(pipelines)
	l.queue = waitqueue.New(l.group, id)
	l.triggers = trigger.Listener{Pipelines: pipelines, Jitter: cfg.jitter, Heard: l.reportTrigger, Unheard: l.reportUnheard}
	return l, nil
}

// NewMutex returns the lock of that name, which is its key in Redis: 1 to 1024
// bytes, with braces only around a Redis Cluster hash tag. Options override the
// Locker's. It does not contact the nodes.
func (l *Locker) NewMutex(name string, opts ...MutexOption) (*Mutex, error) {
	t := &target{locker: l, cfg: l.cfg}
	if err := apply(&t.cfg, opts); err != nil {
		return nil, err
	}
	if err := t.init(name, true); err != nil {
		return nil, err
	}
	return &Mutex{t}, nil
}

// NewJob returns the job of that name, under the rules of [Locker.NewMutex]. A
// mutex and a job of one name exclude each other.
func (l *Locker) NewJob(name string, opts ...JobOption) (*Job, error) {
	t := &target{locker: l, cfg: l.cfg}
	if err := apply(&t.cfg, opts); err != nil {
		return nil, err
	}
	if err := t.init(name, false); err != nil {
		return nil, err
	}
	return &Job{t}, nil
}

// CheckName returns the error that [Locker.NewMutex] and [Locker.NewJob] have for a name that cannot be one. It is for adapters
// whose jobs are made long before they run.
func (l *Locker) CheckName(name string) error {
	full := l.cfg.prefix + name
	switch {
	case name == "" || len(full) > maxName:
		return invalid("name has %d bytes with its prefix, must have 1 to %d", len(full), maxName)
	case !protocol.Spellable(full):
		return invalid("name %.100q has a brace outside of a hash tag; leave braces out, or put {a tag} around the part that decides its Redis Cluster slot", full)
	}
	return nil
}

func (l *Locker) reportNode(name string, out bool, cause error) {
	if out {
		l.Report(Event{Kind: NodeOut, Node: name, Err: cause})
	} else {
		l.Report(Event{Kind: NodeBack, Node: name})
	}
}

// Close ends all acquisitions with [ErrClosed], waiting Locks among them, and
// renewal. Leases that are still held, and a leader's term, end at ValidUntil, so
// Unlock and Resign first. Then it waits until the nodes have executed all releases
// that are owed to them. What a node does not execute within TTL + 1 s is dropped,
// since its keys have expired. Close the nodes' clients afterwards.
//
// If ctx ends before that, the error names the nodes that are still owed something.
// Before it returns, Close waits up to a second for the observer.
func (l *Locker) Close(ctx context.Context) error {
	l.beginCall()
	l.close.Do(func() { close(l.closing) })
	l.endCall() // closes decided if no acquisition is under way
	l.queue.Close()
	l.triggers.Close()
	var errs []error
	select {
	case <-l.decided:
	case <-ctx.Done():
		if l.deciding.Load() > 0 {
			errs = append(errs, fmt.Errorf("redlock: closed while an acquisition was under way: %w", ctx.Err()))
		}
	}
	flushed := make([]<-chan struct{}, len(l.group.Pipelines))
	for i, p := range l.group.Pipelines { // all of them first, as a pipeline keeps what it chases for a while from then on
		flushed[i] = p.Flushed()
	}
	for i, p := range l.group.Pipelines {
		select {
		case <-flushed[i]:
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
	case <-l.events.Told():
	case <-time.After(observerGrace):
		errs = append(errs, errors.New("redlock: closed before the observer, which is slow, was told everything that happened"))
	}
	return errors.Join(errs...)
}

func (l *Locker) isClosed() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// beginCall and endCall enclose each call that acquires, and so the posting of its releases. Close waits for such calls.
func (l *Locker) beginCall() { l.deciding.Add(1) }

func (l *Locker) endCall() {
	if l.deciding.Add(-1) == 0 && l.isClosed() {
		l.last.Do(func() { close(l.decided) })
	}
}

// admit waits for a slot to vote, in order of arrival.
func (l *Locker) admit(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.closing:
		return ErrClosed
	}
}

// usable returns ctx's error if it has ended, or ErrClosed if the Locker is closed.
func (l *Locker) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.isClosed() {
		return ErrClosed
	}
	return nil
}
