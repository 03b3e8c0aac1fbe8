package redlock

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// Locker is a set of nodes plus defaults; it makes mutexes. One Locker serves
// a whole process and is safe for concurrent use: it keeps one line per node,
// so lockers should be shared, not made per lock.
type Locker struct {
	cfg      config
	boxes    []*mailbox
	quorum   int
	renewer  *renewer
	reporter *reporter
	lines    *lines
	timers   sync.Pool // stopped ones: each wait would make one, and nothing is left in a stopped timer's channel
	closed   atomic.Bool
	deciding atomic.Int64  // acquisitions under way
	decided  chan struct{} // closed when the Locker is closed and there is none
	last     sync.Once
}

// New returns a Locker over independent nodes. A majority of them, n/2 + 1,
// decides; an even number tolerates no more failures than the odd one below
// it. New does not contact the nodes.
func New(nodes []driver.Node, opts ...LockerOption) (*Locker, error) {
	if len(nodes) == 0 {
		return nil, invalid("no nodes; pass at least one, or an odd number of independent ones to survive failures")
	}
	cfg, err := apply(defaults(), opts, LockerOption.locker)
	if err != nil {
		return nil, err
	}
	timeouts, err := cfg.derived()
	if err != nil {
		return nil, err
	}
	names, err := nameAll(nodes)
	if err != nil {
		return nil, err
	}
	l := &Locker{cfg: cfg, quorum: len(nodes)/2 + 1, renewer: &renewer{}, reporter: &reporter{observer: cfg.observer, least: cfg.least}, decided: make(chan struct{})}
	for i, n := range nodes {
		l.boxes = append(l.boxes, newMailbox(n, names[i], timeouts.nodeTimeout, l.reporter.observe))
	}
	l.lines = newLines(l)
	return l, nil
}

// nameAll refuses nodes that are missing or counted twice: a server with two votes is no majority of anything.
func nameAll(nodes []driver.Node) ([]string, error) {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		if isNil(n) {
			return nil, invalid("node %d of %d is nil; was its client made?", i+1, len(nodes))
		}
		names[i] = fmt.Sprintf("node %d", i+1)
		if s, ok := n.(fmt.Stringer); ok {
			names[i] = s.String()
		}
		for j := range i {
			if names[j] == names[i] {
				return nil, invalid("nodes %d and %d are the same (%s); every node needs a Redis of its own", j+1, i+1, names[i])
			}
		}
	}
	return names, nil
}

func isNil(n driver.Node) bool {
	v := reflect.ValueOf(n)
	return n == nil || v.Kind() == reflect.Pointer && v.IsNil()
}

// NewMutex describes a lock by its name, 1 to 1024 bytes of any kind, which is
// its key in Redis. Options override the Locker's. It does not contact the
// nodes.
func (l *Locker) NewMutex(name string, opts ...MutexOption) (*Mutex, error) {
	cfg, err := apply(l.cfg, opts, MutexOption.mutex)
	if err != nil {
		return nil, err
	}
	return l.newMutex(name, cfg)
}

// NewJob describes a schedule by its name, as [Locker.NewMutex] does a lock. A
// mutex and a job of one name exclude each other.
func (l *Locker) NewJob(name string, opts ...JobOption) (*Job, error) {
	cfg, err := apply(l.cfg, opts, JobOption.job)
	if err != nil {
		return nil, err
	}
	m, err := l.newMutex(name, cfg)
	if err != nil {
		return nil, err
	}
	return &Job{m}, nil
}

func (l *Locker) newMutex(name string, cfg config) (*Mutex, error) {
	cfg, err := cfg.derived()
	if err != nil {
		return nil, err
	}
	if name == "" || len(cfg.prefix)+len(name) > maxName {
		return nil, invalid("name has %d bytes with its prefix, must have 1 to %d", len(cfg.prefix)+len(name), maxName)
	}
	m := &Mutex{locker: l, cfg: cfg, keys: newKeys(cfg.prefix + name), ttl: milliseconds(cfg.ttl)}
	m.plain = newPlain(&m.keys, m.ttl)
	m.freed = readRelease(func() { l.lines.handOver(m.keys.lock) })
	return m, nil
}

// Report hands an event to the Locker's observer. It is for adapters, whose own
// refusals belong into the same log.
func (l *Locker) Report(e Event) { l.reporter.observe(e) }

// Close ends acquisitions with [ErrClosed], those under way and waiting Locks
// among them, and waits until everything that is owed to the nodes was sent:
// releases of lost votes, of cancelled calls and of nodes that were slow. It
// stops renewing: leases that are still held end at ValidUntil; Unlock them
// first. When ctx ends before, its error names the nodes that still owe an
// answer; what is left there expires with its TTL. The observer is told the
// last events first.
func (l *Locker) Close(ctx context.Context) error {
	l.begin()
	l.closed.Store(true)
	l.end() // the last one to end, if there is none under way
	l.lines.close()
	l.renewer.stop()
	var errs []error
	select {
	case <-l.decided:
	case <-ctx.Done():
		if l.deciding.Load() > 0 {
			errs = append(errs, fmt.Errorf("redlock: closed while an acquisition was under way: %w", ctx.Err()))
		}
	}
	for _, b := range l.boxes {
		select {
		case <-b.flushed():
		case <-ctx.Done():
			if b.idleNow() {
				continue
			}
			errs = append(errs, &NodeError{Node: b.name, Err: fmt.Errorf("closed before it acknowledged its releases: %w", ctx.Err())})
		}
	}
	select {
	case <-l.reporter.told():
	case <-time.After(lastWords):
		errs = append(errs, errors.New("redlock: closed before the observer, which is slow, was told everything that happened"))
	}
	return errors.Join(errs...)
}

// Bootstrap declares a fresh fleet under [WithRestartGuard]: nodes that
// remember nothing may vote at once instead of after the longest TTL. Call it
// once, when the fleet's servers are first used, never at every start: it
// would take away what the guard is for. It refuses servers that may evict
// keys.
func (l *Locker) Bootstrap(ctx context.Context) error {
	a := ask{script: bootstrapScript, cmd: bootstrapScript.command([]string{guardKey})}
	var errs []error
	for i, r := range NewInspector(l, bootstrapLimit).gather(ctx, a) {
		answer := readBootstrap(r)
		err := answer.err
		switch {
		case answer.verdict == refused:
			err = fmt.Errorf("the key %q holds data of another type; delete it", guardKey)
		case r.Err == errNoAnswer:
			err = fmt.Errorf("no answer within %v", bootstrapLimit)
		}
		if err != nil {
			errs = append(errs, &NodeError{Node: l.boxes[i].name, Err: err})
		}
	}
	return errors.Join(errs...)
}

// bootstrapLimit is how long Bootstrap waits for the nodes.
const bootstrapLimit = 5 * time.Second

func readBootstrap(r driver.Reply) answer {
	if a, ok := readFailure(r); ok {
		return a
	}
	fields, _ := r.Value.([]any)
	if policy := text(fields, 0); policy != "noeviction" {
		return answer{verdict: failed, err: fmt.Errorf("maxmemory-policy is %q, must be noeviction: an evicted key is a forgotten vote", policy)}
	}
	if text(fields, 2) == "0" {
		return answer{verdict: failed, err: errors.New("it was declared fresh before, and votes")}
	}
	if age := number(fields, 1); age >= 0 {
		return answer{verdict: failed, err: fmt.Errorf("%w; it is not fresh, its memory is %v old", ErrNodeYoung, time.Duration(age)*time.Millisecond)}
	}
	return answer{verdict: granted}
}

// begin and end enclose an acquisition, and the giving back of what it won in
// vain: Close waits for that.
func (l *Locker) begin() { l.deciding.Add(1) }

func (l *Locker) end() {
	if l.deciding.Add(-1) == 0 && l.closed.Load() {
		l.last.Do(func() { close(l.decided) })
	}
}

// usable tells whether an acquisition may begin.
func (l *Locker) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.closed.Load() {
		return ErrClosed
	}
	return nil
}

// putAll prepares a question to every node.
func (l *Locker) putAll(a ask, until time.Time, owed bool) *ballot {
	v := l.newBallot(len(l.boxes), l.quorum)
	for i := range l.boxes {
		v.put(i, a, until, owed)
	}
	return v
}

// post asks every node, in order, before anybody waits.
func (l *Locker) post(v *ballot) *ballot {
	for i, b := range l.boxes {
		b.postAt(&v.calls[i], v.start)
	}
	return v
}

// busy tells whether a missing answer may still come soon.
func (l *Locker) busy(v *ballot, t tally) bool {
	now := time.Now()
	for i, b := range l.boxes {
		if t.answers[i].verdict == pending && v.calls[i].to != nil && b.moves(now) {
			return true
		}
	}
	return false
}
