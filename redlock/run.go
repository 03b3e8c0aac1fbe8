package redlock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
)

// The results of a run, as the nodes store them.
const (
	runEnded     = "ended" // no result was stated
	runOK        = "ok"
	runFailed    = "failed"
	runPanicked  = "panicked"
	runLost      = "lost"
	runAbandoned = "abandoned"
)

// maxErrorText and maxScheduleText are how many bytes of a text the nodes keep.
const (
	maxErrorText    = 200
	maxScheduleText = 100
)

// runState is what a lease knows about the run of its tick.
type runState struct {
	protocol.Record      // only the caller that releases writes the run's end
	confirmed       bool // the nodes were told that the run began; guarded by the lease's mu, final once the lease has ended

	stated time.Time // when a result was stated, or zero; guarded by the lease's mu
	err    error     // the stated result; guarded by the lease's mu
}

func newRun(l *Lease, a *acquisition) *runState {
	r := protocol.Record{Token: l.token, Began: l.since.UnixMilli(), Schedule: l.t.cfg.schedule}
	if next := l.t.cfg.next; next != nil && (l.t.cfg.history > 0 || l.t.cfg.catchUp > 0) && !a.at.IsZero() {
		if following := next(a.at); following.After(l.Tick()) {
			r.Next = following.UnixMilli()
		}
	}
	return &runState{Record: r}
}

// confirm tells every node, once, that a claim was granted. That gives losers proof, keeps ticks in order if the claimer dies,
// and notes that the run began. Under take-over it does not mark the tick as done, since only the unlock may. The caller holds mu,
// so that the release is posted after the confirm.
func (l *Lease) confirm() {
	if l.run == nil || l.run.confirmed || l.t.locker.closing.Err() != nil {
		return
	}
	l.run.confirmed = true
	if confirm := l.t.name.Confirm(&l.run.Record, l.t.cfg.owner); confirm.Command != nil {
		l.t.locker.group.Send(confirm, l.since.Add(l.t.cfg.ttl))
	}
}

// SetResult states that the work under a claim has ended: with nil if it succeeded,
// else with why it failed. Call it before [Lease.Unlock] or [Lease.Abandon]; the last
// call counts. [Lease.Do], [Job.Run] and the adapters call it themselves. A run
// without a stated result is recorded as "ended". On a lock SetResult does nothing.
func (l *Lease) SetResult(err error) {
	if l.run == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.run.stated, l.run.err = time.Now(), err
}

// Do runs f with a context that ends when ctx ends or the lease is lost. It returns
// f's error and states it as the result, as [Lease.SetResult] does. If f panics, the
// panic is the result, and continues. Do does not unlock.
func (l *Lease) Do(ctx context.Context, f func(ctx context.Context) error) error {
	held, stop := l.Bind(ctx)
	defer stop()
	if l.run == nil {
		return f(held)
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		value := recover()
		l.SetResult(panicError{value})
		if value != nil {
			panic(value)
		}
	}()
	err := f(held)
	returned = true
	l.SetResult(err)
	return err
}

// doAndUnlock calls Do and then Unlock, even if f panics.
func (l *Lease) doAndUnlock(ctx context.Context, f func(ctx context.Context) error) (err error) {
	defer func() { err = errors.Join(err, l.Unlock(ctx)) }()
	return l.Do(ctx, f)
}

// panicError is the result of a function that did not return. Its value is nil if the function called runtime.Goexit.
type panicError struct{ value any }

func (e panicError) Error() string {
	if e.value == nil {
		return "redlock: the function called runtime.Goexit"
	}
	return fmt.Sprintf("redlock: panic: %v", e.value)
}

// conclude records how the run ended, and reports it to the observer.
func (l *Lease) conclude(now time.Time, held, abandoned bool) {
	if l.run == nil {
		return
	}
	l.mu.Lock()
	stated, err := !l.run.stated.IsZero(), l.run.err
	if stated {
		now = l.run.stated
	}
	l.mu.Unlock()
	_, panicked := err.(panicError)
	r := &l.run.Record
	text := err
	switch {
	case !held:
		lost := l.errLost("run")
		r.Result, err, text = runLost, errors.Join(lost, err), errors.New(lost.Detail)
	case panicked:
		r.Result = runPanicked
	case err != nil:
		r.Result = runFailed
	case abandoned:
		r.Result = runAbandoned
	case stated:
		r.Result = runOK
	default:
		r.Result = runEnded
	}
	r.Took = now.Sub(l.since)
	if text != nil && !l.t.cfg.noErrorText {
		// Not text.Error(), whose panic for a nil pointer would keep the lock from being released.
		r.Error = protocol.Cut(strings.TrimPrefix(fmt.Sprint(text), "redlock: "), maxErrorText)
	}
	if stated || !held || l.t.cfg.history > 0 {
		l.t.locker.Report(Event{Kind: Ended, Name: l.Name(), Tick: l.Tick(), Token: l.token, Duration: r.Took, Result: r.Result, Err: err})
	}
}
