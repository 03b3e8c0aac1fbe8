package redlock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Elector elects one leader among the processes that share a mutex's name. It is
// safe for concurrent use.
type Elector struct {
	m       *Mutex
	running atomic.Bool

	mu      sync.Mutex
	term    *term
	contact time.Time // when a campaign last reached a quorum
	failure error     // why the latest try since then has not
}

// term is one term of leadership.
type term struct {
	lease *Lease
	run   context.Context // the one passed to Run
	end   context.CancelCauseFunc
}

var errSteppedDown = errors.New("redlock: stepped down")

// NewElector returns an elector that leads while it holds m. A leader must renew its
// lease, so a mutex with [WithoutRenewal] is refused with [ErrInvalid].
func NewElector(m *Mutex) (*Elector, error) {
	if m == nil {
		return nil, invalid("mutex is nil; make one with Locker.NewMutex")
	}
	if m.t.cfg.noRenewal {
		return nil, invalid("the elector's mutex %q has WithoutRenewal; a leadership must be renewed, leave it out", m.Name())
	}
	return &Elector{m: m}, nil
}

// tried records the outcome of a campaign's try. ErrTaken, too, came from a quorum.
func (e *Elector) tried(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure = err; err == nil || errors.Is(err, ErrTaken) {
		e.contact, e.failure = time.Now(), nil
	}
}

const (
	// After a term shorter than shortTerm, the pause before the next campaign doubles.
	shortTerm = 10 * time.Second
	// minPause is the least first pause, whatever WithBackoff says; no pause is longer than maxPause.
	minPause, maxPause = 10 * time.Millisecond, 30 * time.Second
)

// Run campaigns until ctx ends, and returns its error. Each time this process is
// elected, Run calls lead with a context that ends with the term. A term ends when
// the lease is lost, ctx ends, Resign is called, or lead returns. Then, in this
// order, IsLeader fails, the context ends, lead returns, and the lease is released.
// So work that heeds its context never overlaps with the next leader's.
//
// After a term of less than 10 s the pause before the next campaign doubles, up to
// 30 s, so that work that fails at once does not keep the fleet busy.
//
// If lead is nil, the process leads until the term ends. A second Run at the same
// time is refused with [ErrInvalid]. [Locker.Close] ends the campaign with
// [ErrClosed], but a leader that did not resign first leads until its lease expires.
// If lead panics, Run releases the lease and the panic continues.
func (e *Elector) Run(ctx context.Context, lead func(term context.Context) error) error {
	if !e.running.CompareAndSwap(false, true) {
		return invalid("the elector of %q runs already; use one Elector for each Run", e.m.Name())
	}
	defer e.running.Store(false)
	e.mu.Lock()
	e.contact, e.failure = time.Time{}, nil
	e.mu.Unlock()
	if lead == nil {
		lead = func(term context.Context) error {
			<-term.Done()
			return nil
		}
	}
	for short := 0; ; short++ { // counts the short terms and failed campaigns in a row
		lease, err := e.m.t.await(ctx, &acquisition{op: "lock", begin: time.Now(), tried: e.tried})
		switch {
		case err == nil:
			begin := time.Now()
			e.serve(ctx, lease, lead)
			if time.Since(begin) >= shortTerm {
				short = 0
			}
		case ctx.Err() != nil, errors.Is(err, ErrClosed), errors.Is(err, ErrInvalid):
			return err
		}
		// The pause lets others go first, and keeps this loop from spinning if the token function fails.
		first := min(max(e.m.t.cfg.backoff(0), minPause), maxPause)
		e.m.t.locker.sleep(ctx, min(first<<min(short, 12), maxPause))
	}
}

// serve leads for one term.
func (e *Elector) serve(ctx context.Context, lease *Lease, lead func(context.Context) error) {
	begin := time.Now()
	var err error
	defer func() {
		unlocked := lease.Unlock(ctx)
		lease.report(SteppedDown, time.Since(begin), errors.Join(err, unlocked))
	}()
	held, stop := lease.Bind(ctx)
	defer stop()
	current, end := context.WithCancelCause(held)
	e.mu.Lock()
	e.term = &term{lease: lease, run: ctx, end: end}
	e.mu.Unlock()
	defer e.Resign()
	lease.report(Elected, 0, nil)
	err = lead(current)
}

// leading returns the lease of the current term, or nil. It checks Run's context, from which the term's is derived, so that IsLeader
// fails before the term's context ends. The caller holds mu.
func (e *Elector) leading() *Lease {
	if e.term == nil || e.term.run.Err() != nil {
		return nil
	}
	return e.term.lease
}

// IsLeader returns nil on the leader, [ErrNotLeader] elsewhere, and ctx's error if ctx
// has ended. It compares the lease's validity with the local clock and asks no node,
// so a leader that is cut off stops being the leader before anyone else becomes it.
func (e *Elector) IsLeader(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if lease := e.leading(); lease == nil || !time.Now().Before(lease.ValidUntil()) {
		return ErrNotLeader
	}
	return nil
}

// Check returns nil if Run is under way and has reached a quorum of the nodes
// within tolerance, so that this process leads, or would if nobody did. It asks
// no node. Use it as a liveness and readiness probe rather than IsLeader, which fails
// on followers.
//
// A campaign asks about once a second ([WithBackoff]), after short terms at least
// every 30 s, and a leader's renewals ask every third of the TTL. So use a tolerance
// of a minute or more, and above the TTL. Check fails
//   - before Run, after it, and until Run reaches its first quorum;
//   - if lead goes on for longer than tolerance after its term has ended;
//   - while another elector or Lock of the name waits in this process before this
//     one, which then asks no node.
//
// The error matches [ErrNoQuorum], or [ErrInvalid] if tolerance is not more than 0.
func (e *Elector) Check(tolerance time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	contact := e.contact
	if lease := e.leading(); lease != nil { // renewals are contact
		if renewed := lease.ValidUntil().Add(-e.m.t.cfg.validity()); renewed.After(contact) {
			contact = renewed
		}
	}
	switch since := time.Since(contact); {
	case tolerance <= 0:
		return invalid("tolerance is %v, must be more than 0; a minute suits most", tolerance)
	case !e.running.Load():
		return fmt.Errorf("%w: the elector of %q does not run", ErrNoQuorum, e.m.Name())
	case contact.IsZero():
		return errors.Join(fmt.Errorf("%w: the elector of %q has reached no majority of the nodes yet", ErrNoQuorum, e.m.Name()), e.failure)
	case since > tolerance:
		return errors.Join(fmt.Errorf("%w: the elector of %q has not reached a majority of the nodes for %v, tolerated are %v", ErrNoQuorum, e.m.Name(), since.Round(time.Millisecond), tolerance), e.failure)
	}
	return nil
}

// Resign ends the current term of this process, if any. Another process is elected
// once lead has returned. Run keeps campaigning.
func (e *Elector) Resign() {
	e.mu.Lock()
	t := e.term
	e.term = nil
	e.mu.Unlock()
	if t != nil {
		t.end(errSteppedDown)
	}
}

// Leader asks the nodes who leads. It returns the leader's name as [HolderOf] does,
// or "" if nobody leads. Its errors are those of [Mutex.Holder].
func (e *Elector) Leader(ctx context.Context) (string, error) {
	token, err := e.m.Holder(ctx)
	return HolderOf(token), err
}
