package redlock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// Lease is a lock or a claim that was granted. It is held until it is unlocked,
// detached or lost, and renewed every third of its TTL unless [WithoutRenewal] is
// set. Its methods are safe for concurrent use.
type Lease struct {
	t      *target
	token  string
	tick   int64 // Unix ms; 0 for a lock
	fence  int64
	since  time.Time       // when the winning vote began
	values context.Context // the acquisition's, for its values
	vote   *quorum.Poll    // the poll that put the token on the nodes

	mu          sync.Mutex
	ctx         context.Context // made by the first call of Context, if any
	cancel      context.CancelCauseFunc
	until       time.Time
	ended       error // why the lease is no longer held; nil while it is
	deadline    *time.Timer
	established bool           // it has lasted for confirmAfter, so its renewal is scheduled and a claim is confirmed
	posting     sync.WaitGroup // extensions being posted
	extension   quorum.Request // made for the first extension
	release     releaseState
	run         *runState // nil for a lock

	renewal time.Duration // when the next renewal is due, since renewer.born; guarded by the renewer
}

// The ends of a lease that are not losses. An operation on the lease afterwards reports the text.
var (
	errReleased = errors.New("it was unlocked")
	errDetached = errors.New("it was detached")
)

// newLease returns a lease whose end a local timer notices, so that no node is needed for that.
func newLease(ctx context.Context, r *round, fence int64, until time.Time) *Lease {
	l := &Lease{t: r.t, token: r.token, tick: r.a.tick, fence: fence, since: r.poll.Start, until: until,
		values: ctx, vote: r.poll}
	if r.a.tick != 0 {
		l.run = newRun(l, r.a)
	}
	l.mu.Lock() // the timer may fire at once
	l.deadline = time.AfterFunc(max(min(confirmAfter, time.Until(until)/4), 1), l.elapse)
	l.mu.Unlock()
	return l
}

// confirmAfter is how long a lease is neither confirmed nor scheduled for renewal. If the run ends by then, its unlock tells the
// nodes all that a confirm would.
const confirmAfter = 10 * time.Millisecond

// Context returns a context that ends when the lease does: by a local timer, no
// later than ValidUntil, even if every node hangs. Its cause matches [ErrLost] if the
// lease was lost, and is context.Canceled after Unlock, Abandon and Detach. It has the
// values of the context that was passed to the acquisition, but does not end with it.
func (l *Lease) Context() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil {
		// The caller's context limited the wait for the lease, and not the lease.
		l.ctx, l.cancel = context.WithCancelCause(l.with(context.WithoutCancel(l.values)))
		if l.ended != nil {
			l.cancel(causeOf(l.ended))
		}
	}
	return l.ctx
}

// causeOf returns the cause of the lease's context, given why the lease ended.
func causeOf(ended error) error {
	if ended == errReleased || ended == errDetached {
		return context.Canceled
	}
	return ended
}

// Bind returns a context that ends when ctx or the lease does, whichever comes
// first; [context.Cause] says which. [LeaseFrom] finds the lease in it. Call stop,
// which does not unlock, when the context is no longer needed.
func (l *Lease) Bind(ctx context.Context) (bound context.Context, stop func()) {
	bound, cancel := context.WithCancelCause(l.with(ctx))
	lease := l.Context()
	if lease.Err() != nil { // cancel now, since AfterFunc does it later, on a goroutine
		cancel(context.Cause(lease))
	}
	detach := context.AfterFunc(lease, func() { cancel(context.Cause(lease)) })
	return bound, func() {
		detach()
		cancel(nil)
	}
}

// ValidUntil returns the instant until which nobody else can hold the name. It moves
// forward with each renewal, and back to the present if the lease ends early. Use it
// with time.Until or compare it with time.Now, since it has a monotonic reading.
func (l *Lease) ValidUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Before(l.until) && over(now, l.until) {
		l.until = now
		if l.ended == nil {
			l.deadline.Reset(0) // the timer runs on the monotonic clock, which stood still
		}
	}
	return l.until
}

// over reports whether an instant has passed on either clock. The monotonic clock may stand still while the machine is suspended;
// the wall clock may jump, but can only end a lease too early.
func over(now, until time.Time) bool {
	return !now.Before(until) || !now.Round(0).Before(until.Round(0))
}

// Name returns the name of the lease's mutex or job, with the prefix.
func (l *Lease) Name() string { return l.t.name.Lock }

// Token returns the value of the lock's key, unique to this lease.
func (l *Lease) Token() string { return l.token }

// Tick returns the tick that was claimed, in UTC, or the zero time for a lock.
func (l *Lease) Tick() time.Time { return protocol.Instant(l.tick) }

// Fence returns a number that grows with every new lease of the name, so that a
// protected resource can refuse smaller ones:
//   - under [WithFencing] or [WithTakeover], a counter that locks and claims of the
//     name share;
//   - else for a claim of a job whose ticks are in order, also by hand, its tick;
//   - else 0.
//
// Counter and tick are in microseconds of Unix time, so that fencing may be turned
// on later, once the newest tick granted is no longer ahead of the nodes' clocks.
func (l *Lease) Fence() int64 { return l.fence }

// whyExpired says why the validity has ended.
func (l *Lease) whyExpired() string {
	switch {
	case l.t.cfg.noRenewal:
		return "its validity has ended, and under WithoutRenewal only Extend prolongs it"
	case l.heldTooLong():
		return fmt.Sprintf("it was held for longer than WithMaxHold allows, which is %v", l.t.cfg.maxHold)
	case l.t.locker.closing.Err() != nil:
		return "the Locker was closed, which ends renewal; unlock first"
	}
	return "its validity ended before a majority renewed it"
}

// elapse is the local timer's function. The timer fires after confirmAfter, and then at the end of validity.
func (l *Lease) elapse() {
	l.mu.Lock()
	now := time.Now()
	early := l.ended == nil && !over(now, l.until)
	if early {
		l.deadline.Reset(l.until.Sub(now))
		if !l.established {
			l.established = true
			// A third of the TTL after the vote, or after the latest extension, began.
			l.scheduleRenewal(l.until.Add(l.t.cfg.ttl/3 - l.t.cfg.validity()))
			l.confirm()
		}
	}
	l.mu.Unlock()
	if !early {
		l.markLost(l.whyExpired())
	}
}

func (l *Lease) markLost(why string) {
	err := &Error{Op: "lease", Name: l.Name(), Tick: l.Tick(), Reason: ErrLost, Detail: why}
	if l.end(err) {
		l.report(Lost, time.Since(l.since), err)
	}
}

// end stops renewal and the local timer, and ends the context with cause. It reports whether this call ended the lease.
func (l *Lease) end(cause error) bool {
	l.mu.Lock()
	if l.ended != nil {
		l.mu.Unlock()
		return false
	}
	l.ended = cause
	if now := time.Now(); now.Before(l.until) {
		l.until = now // a look at ValidUntil must show the end before the context does
	}
	l.deadline.Stop()
	if l.established {
		l.t.locker.renewer.remove(l)
	}
	cancel := l.cancel
	l.mu.Unlock()
	if cancel != nil {
		cancel(causeOf(cause))
	}
	return true
}

// errLost returns the error of an operation on a lease that is no longer held.
func (l *Lease) errLost(op string) *Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &Error{Op: op, Name: l.Name(), Tick: l.Tick(), Reason: ErrLost, Detail: "its validity has ended"}
	if lost, ok := errors.AsType[*Error](l.ended); ok {
		e.Detail = lost.Detail
	} else if l.ended != nil {
		e.Detail = l.ended.Error()
	}
	return e
}

func (l *Lease) report(kind EventKind, took time.Duration, err error) {
	l.t.locker.Report(Event{Kind: kind, Name: l.Name(), Tick: l.Tick(), Token: l.token, Duration: took, Err: err})
}

type (
	leaseKey struct{}
	tickKey  struct{}
)

// LeaseFrom returns the lease in ctx, and reports whether there is one. It is in the
// contexts of [Lease.Context], [Lease.Bind], [Mutex.Do], [Job.Run], [Elector.Run] and
// the adapters' jobs.
func LeaseFrom(ctx context.Context) (*Lease, bool) {
	l, ok := ctx.Value(leaseKey{}).(*Lease)
	return l, ok
}

// TickFrom returns the tick in ctx, in UTC, and reports whether there is one. It comes
// from a claim's lease or from [ContextWithTick]; the innermost one counts.
func TickFrom(ctx context.Context) (time.Time, bool) {
	tick, ok := ctx.Value(tickKey{}).(time.Time)
	return tick, ok
}

// ContextWithTick returns a context from which [TickFrom] reads tick. It is for
// adapters whose handlers know their tick but hold no lease.
func ContextWithTick(ctx context.Context, tick time.Time) context.Context {
	return context.WithValue(ctx, tickKey{}, tick.UTC())
}

// with returns ctx with the lease, and with its tick if it has one.
func (l *Lease) with(ctx context.Context) context.Context {
	if l.tick != 0 {
		ctx = ContextWithTick(ctx, l.Tick())
	}
	return context.WithValue(ctx, leaseKey{}, l)
}
