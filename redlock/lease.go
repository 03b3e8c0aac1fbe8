package redlock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// Lease is what an acquisition hands back. It is held until [Lease.Unlock],
// loss or expiry, and renewed every third of its TTL unless [WithoutRenewal]
// is set. All its methods are safe for concurrent use.
type Lease struct {
	m      *Mutex
	token  string
	tick   time.Time
	fence  int64
	since  time.Time
	values context.Context // of the acquisition's caller

	mu       sync.Mutex
	ctx      context.Context // made when it is first asked for: many never do
	cancel   context.CancelCauseFunc
	until    time.Time
	ended    error // why it is no longer held; nil while it is
	deadline *time.Timer
	asking   sync.WaitGroup // extensions that are being posted
	renewal  ask            // the extension, made when it is first asked for
	vote     *ballot

	adopted bool // another handle has put it on the nodes, and its extension may still be under way

	abandoned bool // its tick is not done
	unlock    sync.Once
	unlocked  error

	due   time.Time // the renewer's
	index int       // the renewer's
}

var (
	errReleased = errors.New("redlock: released")
	errDetached = errors.New("redlock: detached")
)

func newLease(ctx context.Context, r *round, fence int64, until time.Time) *Lease {
	l := &Lease{m: r.m, token: r.token, fence: fence, since: r.start, until: until, vote: r.ballot, index: unscheduled}
	if r.bid.tick != 0 {
		l.tick = time.UnixMilli(r.bid.tick).UTC()
	}
	l.hold(ctx)
	l.confirm()
	return l
}

// hold starts the clock: the context ends by a local timer, so it needs no node to be told of the loss.
func (l *Lease) hold(ctx context.Context) {
	l.mu.Lock()
	l.values = ctx
	l.deadline = time.AfterFunc(time.Until(l.until), l.expire)
	l.mu.Unlock()
	if !l.m.cfg.noRenewal {
		l.m.locker.renewer.schedule(l, l.since.Add(l.m.cfg.ttl/3))
	}
}

// Context carries the values of the context that was passed to the
// acquisition, not its end. It ends when the lease does: with a cause that
// matches [ErrLost] no later than ValidUntil, by a local timer, even when
// every node hangs; with cause context.Canceled at Unlock.
func (l *Lease) Context() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil {
		// The caller's context bounded the waiting; ending it must not end the lease.
		l.ctx, l.cancel = context.WithCancelCause(l.with(context.WithoutCancel(l.values)))
		if l.ended != nil {
			l.cancel(causeOf(l.ended))
		}
	}
	return l.ctx
}

// causeOf is what the lease's context tells of its end.
func causeOf(ended error) error {
	if ended == errReleased || ended == errDetached {
		return context.Canceled
	}
	return ended
}

// ValidUntil is the instant up to which nobody else can hold the name. It
// moves with each renewal, and back to the present when the lease ends before.
// It is meant for time.Until and comparisons with time.Now, which use its
// monotonic reading.
func (l *Lease) ValidUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// Token is the value of the lock's key, unique to this lease.
func (l *Lease) Token() string { return l.token }

// Fence is a number that grows with every new lease of the name, for a
// protected resource that refuses smaller ones. It is the tick in Unix
// milliseconds for a claim, the counter under [WithFencing], and else 0.
func (l *Lease) Fence() int64 { return l.fence }

// Tick is the tick that was claimed, in UTC, or the zero time for a lock.
func (l *Lease) Tick() time.Time { return l.tick }

// Name is the name of the lease's mutex or job, with the prefix.
func (l *Lease) Name() string { return l.m.keys.lock }

// run runs f under the lease and unlocks, even when f panics.
func (l *Lease) run(ctx context.Context, f func(ctx context.Context) error) (err error) {
	defer func() { err = errors.Join(err, l.Unlock(ctx)) }()
	held, stop := l.Bind(ctx)
	defer stop()
	return f(held)
}

// Bind returns a context that ends when ctx or the lease does, whichever comes
// first; [context.Cause] says which. [LeaseFrom] finds the lease in it. Call stop when it is no longer needed.
func (l *Lease) Bind(ctx context.Context) (bound context.Context, stop func()) {
	bound, cancel := context.WithCancelCause(l.with(ctx))
	lease := l.Context()
	if lease.Err() != nil { // at once, not when its goroutine gets to it
		cancel(context.Cause(lease))
	}
	detach := context.AfterFunc(lease, func() { cancel(context.Cause(lease)) })
	return bound, func() {
		detach()
		cancel(nil)
	}
}

// Extend renews the lease now, for a full TTL. It returns nil when a majority
// has answered so within the validity. An error that matches [ErrLost] is
// final; with any other the lease stands until ValidUntil.
func (l *Lease) Extend(ctx context.Context) error {
	v, err := l.ask(nil)
	if err != nil {
		return err
	}
	_, err = v.wait(ctx, l.m.cfg.nodeTimeout)
	return l.settle(v, err)
}

// renew is Extend without anybody waiting. It keeps no goroutine.
func (l *Lease) renew() {
	if l.m.cfg.maxHold > 0 && time.Since(l.since) > l.m.cfg.maxHold {
		return
	}
	_, _ = l.ask(func(v *ballot) { _ = l.settle(v, nil) })
}

// ask puts an extension to all nodes. Unlock posts its release after that, so
// that it comes last on every node.
func (l *Lease) ask(settled func(*ballot)) (*ballot, error) {
	m := l.m
	l.mu.Lock()
	if l.ended != nil {
		l.mu.Unlock()
		return nil, l.gone("extend")
	}
	l.asking.Add(1)
	defer l.asking.Done()
	if l.renewal.cmd == nil {
		l.renewal = m.extension(l.token, l.fence, true)
	}
	renewal, until := l.renewal, l.until
	l.mu.Unlock()
	v := m.locker.putAll(renewal, until, false)
	if settled != nil {
		v.settled = func() { settled(v) }
	}
	return m.locker.post(v), nil
}

// extension also puts the key back on a node that lost it.
func (m *Mutex) extension(token string, fence int64, restore bool) ask {
	keys, carried := []string{m.keys.lock, m.keys.tombstone(token)}, ""
	if m.cfg.fencing && fence != 0 {
		keys, carried = append(keys, m.keys.fence), decimal(fence)
	}
	return ask{script: extendScript, read: readExtend,
		cmd: extendScript.command(m.guarded(keys...), token, m.ttl, carried, flag(restore), milliseconds(m.cfg.guardWindow))}
}

// settle draws the conclusion from an extension.
func (l *Lease) settle(v *ballot, err error) error {
	t := v.count()
	m := l.m
	switch {
	case t.won():
		if !l.prolong(v.start.Add(m.cfg.validity())) {
			return l.gone("extend")
		}
		m.locker.renewer.schedule(l, v.start.Add(m.cfg.ttl/3))
		m.report(Event{Kind: Renewed, Name: m.keys.lock, Tick: l.tick, Token: l.token, Duration: time.Since(v.start)})
		return nil
	case t.majority(t.refused):
		l.lose("a majority of the nodes holds another token")
		return l.gone("extend")
	case err == nil:
		err = ErrNoQuorum
	}
	failure := m.fail("extend", l.tickMillis(), t, err)
	l.mu.Lock()
	over := l.ended != nil
	l.mu.Unlock()
	if over {
		return failure
	}
	m.report(Event{Kind: RenewFailed, Name: m.keys.lock, Tick: l.tick, Token: l.token, Err: failure})
	return failure
}

// prolong moves the end of validity. An extension that succeeds after the end
// came too late: somebody else may have had the name in between.
func (l *Lease) prolong(until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.ended != nil || !now.Before(l.until) {
		return false
	}
	if until.After(l.until) {
		l.until = until
		l.deadline.Reset(until.Sub(now))
	}
	return true
}

// expire is the local timer.
func (l *Lease) expire() {
	l.mu.Lock()
	early := l.ended == nil && time.Now().Before(l.until)
	if early {
		l.deadline.Reset(time.Until(l.until))
	}
	l.mu.Unlock()
	if !early {
		l.lose("its validity ended before a majority renewed it")
	}
}

func (l *Lease) lose(why string) {
	err := &Error{Op: "lease", Name: l.m.keys.lock, Tick: l.tick, Reason: ErrLost, Detail: why}
	if l.end(err) {
		l.m.report(Event{Kind: Lost, Name: l.m.keys.lock, Tick: l.tick, Token: l.token, Duration: time.Since(l.since), Err: err})
	}
}

// end stops renewal and the deadline, and ends the context with cause. It tells whether it was the first to do so.
func (l *Lease) end(cause error) bool {
	l.mu.Lock()
	if l.ended != nil {
		l.mu.Unlock()
		return false
	}
	l.ended = cause
	if now := time.Now(); now.Before(l.until) {
		l.until = now // whoever looks at the validity sees the end before the context tells it
	}
	l.deadline.Stop()
	cancel := l.cancel
	l.mu.Unlock()
	l.m.locker.renewer.remove(l)
	if cancel != nil {
		cancel(causeOf(cause))
	}
	return true
}

// gone is the error for an operation on a lease that is no longer held.
func (l *Lease) gone(op string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &Error{Op: op, Name: l.m.keys.lock, Tick: l.tick, Reason: ErrLost, Detail: "its validity has ended"}
	switch lost := (*Error)(nil); {
	case errors.As(l.ended, &lost):
		e.Detail = lost.Detail
	case l.ended == errReleased:
		e.Detail = "it was unlocked"
	case l.ended == errDetached:
		e.Detail = "it was detached"
	}
	return e
}

// Unlock gives the lease back on all nodes and returns once a majority has
// confirmed it. It works with a ctx that has already ended, and returns after
// the node timeout at the latest: nodes that do not answer are released in the
// background, as soon as they do. A second Unlock returns what the first did.
//
// It returns an error that matches [ErrLost] when the lease was no longer ours
// at the end, and one that matches [ErrNoQuorum] when that is not known.
func (l *Lease) Unlock(ctx context.Context) error {
	l.unlock.Do(func() { l.unlocked = l.release(ctx) })
	return l.unlocked
}

// Abandon is Unlock without the tick being done. Under [WithTakeover] another
// replica may then run it at once; at most once, which is the default, the tick
// stays spent. For a lock it is Unlock.
func (l *Lease) Abandon(ctx context.Context) error {
	l.mu.Lock()
	l.abandoned = true
	l.mu.Unlock()
	return l.Unlock(ctx)
}

func (l *Lease) release(ctx context.Context) error {
	m := l.m
	l.mu.Lock()
	valid := time.Now().Before(l.until)
	l.mu.Unlock()
	if !valid {
		l.lose("its validity ended before a majority renewed it")
	}
	held := l.end(errReleased)
	l.asking.Wait()
	begin := time.Now()
	fence := l.fence
	if !m.cfg.fencing {
		fence = 0
	}
	back := m.release(l.token, fence, true)
	l.mu.Lock()
	ends := held && !l.tick.IsZero() && !(l.abandoned && m.cfg.takeover)
	l.mu.Unlock()
	if ends {
		back = l.finish()
	}
	v := m.locker.putAll(back, begin.Add(m.cfg.owing()), true)
	l.surrender(v, ends)
	if l.adopted {
		l.bury()
	}
	if !held {
		return l.gone("unlock")
	}
	// gocron and cron cancel a job's context before they unlock.
	t, _ := v.wait(context.Background(), m.cfg.nodeTimeout)
	var err error
	switch {
	case t.majority(t.refused):
		err = m.fail("unlock", l.tickMillis(), t, ErrLost)
	case !t.won():
		err = m.fail("unlock", l.tickMillis(), t, ErrNoQuorum)
	}
	m.report(Event{Kind: Released, Name: m.keys.lock, Tick: l.tick, Token: l.token, Duration: begin.Sub(l.since), Err: err})
	return err
}

// bury makes every node forget the token for good, also one that has not heard
// of us: the former handle has put it there, and an extension which that one
// sent cannot put it back.
func (l *Lease) bury() {
	dead, until := l.m.abort(l.token, 0), time.Now().Add(l.m.cfg.owing())
	for _, box := range l.m.locker.boxes {
		box.send(dead, until, true)
	}
}

// surrender posts the release where it is owed.
func (l *Lease) surrender(v *ballot, ends bool) {
	for i, box := range l.m.locker.boxes {
		switch {
		case ends:
			// A vote that is in line stays there: it leaves the tick's key, which tells who ran it.
			v.calls[i].owed = l.m.cfg.takeover || l.extended() || box.asks(&l.vote.calls[i])
			box.post(&v.calls[i])
		case l.reached(i):
			box.post(&v.calls[i])
		default:
			v.receive(i, driver.Reply{Value: int64(0)}) // nothing of ours is there
		}
	}
}

// reached tells whether a node may hold anything of this lease. A node that was
// out all the time has never heard of it, nor has one whose vote was still in
// line: it is taken out.
func (l *Lease) reached(node int) bool {
	return l.extended() || l.m.locker.boxes[node].withdraw(&l.vote.calls[node])
}

func (l *Lease) extended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.renewal.cmd != nil
}

func (l *Lease) tickMillis() int64 {
	if l.tick.IsZero() {
		return 0
	}
	return l.tick.UnixMilli()
}

// Detach ends this handle without giving the lock back and returns the token,
// for [Mutex.Adopt] in another process. The lock then lives for what remains
// of its TTL. The context ends as with Unlock.
func (l *Lease) Detach() (token string, err error) {
	detached := false
	l.unlock.Do(func() { // what was detached is no longer ours to give back
		if detached = l.end(errDetached); detached {
			l.unlocked = l.gone("unlock")
		} else {
			l.unlocked = l.release(context.Background())
		}
	})
	if !detached {
		return "", l.gone("detach")
	}
	l.m.report(Event{Kind: Released, Name: l.m.keys.lock, Tick: l.tick, Token: l.token, Duration: time.Since(l.since)})
	return l.token, nil
}

// Adopt takes over a lock by its token, from [Lease.Detach] or from another
// library that set the key: if a majority of the nodes still holds the token,
// it is extended and a lease is returned, else the error matches [ErrLost].
// The fence of an adopted lease is 0.
func (m *Mutex) Adopt(ctx context.Context, token string) (*Lease, error) {
	if token == "" {
		return nil, invalid("token is empty; pass what Lease.Detach returned")
	}
	m.locker.begin()
	defer m.locker.end()
	if err := m.locker.usable(ctx); err != nil {
		return nil, m.fail("adopt", 0, tally{}, err)
	}
	r := &round{m: m, bid: bid{op: "adopt"}, token: token, first: -1, start: time.Now()}
	if tick := TickOf(token); !tick.IsZero() {
		r.bid.tick = tick.UnixMilli()
	}
	r.ballot = m.locker.putAll(m.extension(token, 0, false), r.start.Add(m.cfg.nodeTimeout), false)
	t, err := m.locker.post(r.ballot).wait(ctx, m.cfg.nodeTimeout)
	until := r.start.Add(m.cfg.validity())
	switch {
	case err != nil:
		return nil, m.fail("adopt", 0, t, err)
	case t.won() && time.Now().Before(until):
		l := newLease(ctx, r, r.bid.tick, until)
		l.adopted = true
		m.report(Event{Kind: Acquired, Name: m.keys.lock, Tick: l.tick, Token: token, Duration: time.Since(r.start)})
		return l, nil
	case t.majority(t.refused):
		return nil, m.fail("adopt", 0, t, ErrLost)
	}
	return nil, m.fail("adopt", 0, t, ErrNoQuorum)
}
