package redlock

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// Mutex is a named, immutable description of a lock: a name and options. It
// holds no state of an acquisition, so one Mutex may be shared by any number
// of goroutines, and two Mutexes of one name exclude each other.
type Mutex struct {
	locker *Locker
	cfg    config
	keys   keys
	ttl    string
	freed  func(driver.Reply) answer // reads the reply to a release
	plain  plain
}

// plain are the two commands of a plain lock, ready but for the token: a
// string put into an any costs an allocation.
type plain struct{ set, free driver.Command }

func newPlain(k *keys, ttl string) plain {
	return plain{
		set:  driver.Command{"SET", k.lock, nil, "NX", "GET", "PX", ttl},
		free: releaseScript.command([]string{k.lock, k.waiters}, ""),
	}
}

func (p *plain) acquire(token string) driver.Command {
	c := slices.Clone(p.set)
	c[2] = token
	return c
}

func (p *plain) release(token string) driver.Command {
	c := slices.Clone(p.free)
	c[len(c)-1] = token
	return c
}

// Name returns the mutex's name, with the prefix: the lock's key in Redis.
func (m *Mutex) Name() string { return m.keys.lock }

// TryLock decides now: it returns a lease, or an error that matches [ErrTaken]
// as soon as a majority of the nodes is known to be another owner's. When a
// split vote leaves the name to nobody, it votes again for a short time (four
// times the node timeout) instead of calling that taken. On an error nothing is
// held; votes already won are given back in the background.
func (m *Mutex) TryLock(ctx context.Context) (*Lease, error) {
	return m.decide(ctx, bid{op: "trylock"})
}

// Lock waits until it is granted or ctx ends. In the latter case the error
// matches ctx.Err() and the reason it was still waiting. Waiters of one name
// are served first come, first served within a process, and nearly so between
// processes.
func (m *Mutex) Lock(ctx context.Context) (*Lease, error) {
	return m.waitFor(ctx, bid{op: "lock"}, func(err error) bool {
		return errors.Is(err, ErrTaken) || errors.Is(err, ErrNoQuorum)
	})
}

// Do locks, waiting for it, runs f with a context that ends when ctx ends or
// the lease is lost, and unlocks, also when f panics. It returns f's error
// joined with the unlock's, so errors.Is(err, ErrLost) tells that f may have
// run without protection towards its end.
func (m *Mutex) Do(ctx context.Context, f func(ctx context.Context) error) error {
	lease, err := m.Lock(ctx)
	if err != nil {
		return err
	}
	return lease.run(ctx, f)
}

// Holder returns the token of whoever holds the name on a majority of the
// nodes, or "" when nobody does. [HolderOf] makes it readable.
func (m *Mutex) Holder(ctx context.Context) (token string, err error) {
	t, err := m.poll(ctx, m.peek(bid{}, ""))
	a, held := t.leader()
	switch {
	case err != nil:
		return "", m.fail("holder", 0, t, err)
	case held:
		return a.token, nil
	case t.majority(t.missing()):
		return "", m.fail("holder", 0, t, ErrNoQuorum)
	}
	return "", nil
}

// poll puts one question to all nodes and waits for the outcome.
func (m *Mutex) poll(ctx context.Context, a ask) (tally, error) {
	v := m.locker.putAll(a, time.Now().Add(m.cfg.nodeTimeout), false)
	return m.locker.post(v).wait(ctx, m.cfg.nodeTimeout)
}

// bid is what one call asks the nodes for.
type bid struct {
	op   string
	tick int64 // Unix ms; 0 for a lock
}

// decide holds rounds until the outcome is certain: granted, or who is ahead,
// or that no majority can be had.
func (m *Mutex) decide(ctx context.Context, b bid) (*Lease, error) {
	begin := time.Now()
	m.locker.begin()
	defer m.locker.end()
	var order order
	for try := 0; ; try++ {
		if err := m.locker.usable(ctx); err != nil {
			return nil, m.refuse(b, "", begin, tally{}, err)
		}
		r, err := m.newRound(b)
		if err != nil {
			return nil, m.refuse(b, "", begin, tally{}, err)
		}
		t, err := order.vote(ctx, r)
		if err == nil && t.won() && !m.locker.closed.Load() {
			var lease *Lease
			if lease, err = r.lease(ctx, t); lease != nil {
				m.report(Event{Kind: Acquired, Name: m.keys.lock, Tick: lease.tick, Token: r.token, Duration: time.Since(begin)})
				return lease, nil
			}
		}
		r.abort(ctx)
		next, reason := m.judge(b, t, err, try)
		order.learn(r, t, next)
		if next == stop || time.Since(begin) > next.patience(b, order.on, m.cfg.nodeTimeout) {
			return nil, m.refuse(b, r.token, begin, order.worst(t), reason)
		}
		// A claim that is ahead is confirmed right after it was granted: mostly the next answer tells.
		if next != again || try > 1 {
			pause(ctx, m.cfg.splitPause(time.Since(r.start), try))
		}
	}
}

// order remembers, from round to round, whether the nodes are asked in order
// and from which one on.
type order struct {
	on      bool
	first   int
	blocker string // who refused us the first node last time
	failed  tally  // the last votes that lacked answers
}

func (o *order) vote(ctx context.Context, r *round) (tally, error) {
	if o.on {
		return r.voteInOrder(ctx, o.first)
	}
	return r.vote(ctx)
}

// learn turns to another first node when the same token still blocks it and
// leads nowhere: a dead claimer's, most likely.
func (o *order) learn(r *round, t tally, what next) {
	if t.failed > 0 {
		o.failed = t
	}
	if o.on && what == split && r.peeked {
		blocker := t.answers[r.first].token
		if blocker == o.blocker {
			o.first = (r.first + 1) % len(t.answers)
		}
		o.blocker = blocker
	}
	o.on = o.on || what == split
}

// worst is the tally that tells most about why there was no majority: those
// who were only asked who is there did not say why they would not vote.
func (o *order) worst(t tally) tally {
	if t.failed == 0 && o.failed.failed > 0 {
		return o.failed
	}
	return t
}

type next uint8

const (
	stop  next = iota // the outcome is certain
	again             // somebody is ahead, but perhaps not for good; or the majority failed for a moment
	split             // nobody has a majority
)

// patience is for how long a decision goes on. When somebody is
// ahead, to give up costs nothing, unless that has only just come out of a split
// vote and may not last; and a lock can be asked for again. A tick that nobody
// gets is lost.
func (n next) patience(b bid, wasSplit bool, nodeTimeout time.Duration) time.Duration {
	switch {
	case wasSplit && b.tick != 0:
		return 8 * nodeTimeout
	case n == split:
		return 4 * nodeTimeout
	}
	return 2 * nodeTimeout
}

// judge says what a round that was not won means.
func (m *Mutex) judge(b bid, t tally, err error, try int) (what next, reason error) {
	leader, led := t.leader()
	switch {
	case err != nil:
		return stop, err
	case t.done > 0:
		return stop, ErrTickDone
	case t.won():
		return again, ErrNoQuorum // but its validity had ended, or its fence did not stand
	case led && m.undecided(b, leader):
		return again, ErrTaken
	case led:
		return stop, ErrTaken
	case t.majority(t.stale):
		return stop, ErrTickStale
	case t.majority(t.far):
		return stop, ErrClockSkew
	case !t.majority(t.missing()):
		return split, t.obstacle()
	case t.pending == 0 && try == 0:
		return again, ErrNoQuorum // connections that went stale fail at once and are fresh the next time
	}
	return stop, ErrNoQuorum
}

// obstacle is why a vote that is split cannot be won, if that is more than bad
// luck: some nodes' clocks are behind the tick's, or long past it.
func (t tally) obstacle() error {
	switch {
	case t.far > 0:
		return ErrClockSkew
	case t.stale > 0:
		return ErrTickStale
	}
	return ErrNoQuorum
}

// undecided: a claim that got a majority but is not known to be granted may
// still be given up by its claimer. Calling the tick taken now could leave it
// to nobody.
func (m *Mutex) undecided(b bid, leader answer) bool {
	theirs := TickOf(leader.token)
	switch {
	case b.tick == 0 || theirs.IsZero() || m.cfg.takeover:
		return false
	case m.cfg.anyOrder:
		return theirs.UnixMilli() == b.tick
	}
	return leader.last < theirs.UnixMilli()
}

// refuse reports a refusal and makes its error.
func (m *Mutex) refuse(b bid, token string, begin time.Time, t tally, reason error) error {
	err := m.fail(b.op, b.tick, t, reason)
	err.token = token
	m.report(Event{Kind: Refused, Name: m.keys.lock, Tick: err.Tick, Token: token, Holder: err.Holder, Duration: time.Since(begin), Err: err})
	return err
}

func (m *Mutex) fail(op string, tick int64, t tally, reason error) *Error {
	e := &Error{Op: op, Name: m.keys.lock, Reason: reason}
	if tick != 0 {
		e.Tick = time.UnixMilli(tick).UTC()
	}
	if leader, ok := t.leader(); ok {
		e.Holder, e.Remaining = leader.token, leader.remaining
	}
	for _, a := range t.answers {
		if a.verdict == done && a.token != "" {
			e.Holder, e.Remaining = a.token, 0
		}
	}
	if reason == ErrNoQuorum {
		e.Detail = t.String()
	}
	if reason == ErrTaken || reason == ErrTickDone {
		return e
	}
	for i, a := range t.answers {
		switch {
		case a.verdict == failed:
			e.Nodes = append(e.Nodes, &NodeError{Node: m.locker.boxes[i].name, Err: a.err})
		case a.verdict == pending && !t.certain(): // else its answer did not matter any more
			e.Nodes = append(e.Nodes, &NodeError{Node: m.locker.boxes[i].name, Err: errNoAnswer})
		}
	}
	return e
}

func (m *Mutex) report(e Event) { m.locker.reporter.observe(e) }

// splitPause is a random pause that grows with the tries and with what a round
// takes, so that contenders of a split vote come apart.
func (c *config) splitPause(round time.Duration, try int) time.Duration {
	base := min(max(round, 500*time.Microsecond), 20*time.Millisecond)
	return base/2 + c.jitter(base<<min(try, 3))
}

// pause returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
