package asynqadapter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// guard is what the two middlewares share: the lease around a handler, and what
// happens to a task that gets none.
type guard struct {
	locker   *redlock.Locker
	cfg      guardConfig
	requeues requeues
}

// run calls the handler under the lease. The Locker's observer is told how the lease
// ends.
func (g *guard) run(ctx context.Context, lease *redlock.Lease, d delivery, next asynq.Handler) (err error) {
	if err := ctx.Err(); err != nil {
		return err // asynq may have given the task to another worker by now
	}
	if !d.tick.IsZero() {
		ctx = redlock.ContextWithTick(ctx, d.tick)
	}
	held, stop := lease.Bind(context.WithValue(ctx, heldKey{}, append(slices.Clip(tokens(ctx)), lease.Token())))
	defer stop()
	err = errPanicked
	defer func() { lease.SetResult(err) }() // not Lease.Do, which recovers a panic: asynq would take the line where it goes on for its origin
	err = next.ProcessTask(held, d.task)
	if cause := context.Cause(held); err != nil && errors.Is(cause, redlock.ErrLost) {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}

var errPanicked = errors.New("asynqadapter: the handler panicked, as asynq reports, or called runtime.Goexit")

// sendBack returns the error that makes asynq deliver the task again later.
func (g *guard) sendBack(d delivery, name string, reason error) error {
	if g.requeues.count(time.Now()) {
		g.report(d, Unconfigured, name, invalid("a task that was sent back spent a retry; pass asynqadapter.Configure(cfg) to asynq.NewServer"))
	}
	e := &RequeueError{Name: name, After: jitter(g.cfg.requeueDelay), Err: reason, from: &g.requeues}
	g.report(d, Requeued, name, e)
	return e
}

// refuse returns the error that makes asynq archive a task which no retry can help.
func (g *guard) refuse(d delivery, name string, reason error) error {
	g.report(d, redlock.Refused, name, reason)
	return fmt.Errorf("%w: %w", asynq.SkipRetry, reason)
}

func (g *guard) report(d delivery, kind redlock.EventKind, name string, err error) {
	g.locker.Report(redlock.Event{Kind: kind, Name: name, Tick: d.tick, Err: &TaskError{Type: d.task.Type(), ID: d.id, Queue: d.queue, Err: err}})
}

// undecided reports whether a task that got no lease for err may get one later.
func undecided(err error) bool {
	return errors.Is(err, redlock.ErrTaken) || errors.Is(err, redlock.ErrNoQuorum) || errors.Is(err, redlock.ErrClosed)
}

// heldKey is the context key of the tokens of all leases that a handler runs under.
// redlock.LeaseFrom returns only the innermost.
type heldKey struct{}

func tokens(ctx context.Context) []string {
	all, _ := ctx.Value(heldKey{}).([]string)
	if lease, ok := redlock.LeaseFrom(ctx); ok { // perhaps of a mutex of the user's own
		all = append(slices.Clip(all), lease.Token())
	}
	return all
}

// covered reports whether the key is held by a lease that the handler itself runs
// under, so that waiting for it would never end. The name is not enough to tell, as
// another middleware's Locker may have other nodes.
func covered(ctx context.Context, err error) bool {
	var refusal *redlock.Error
	return errors.Is(err, redlock.ErrTaken) && errors.As(err, &refusal) && slices.Contains(tokens(ctx), refusal.Holder)
}
