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

// guard is what the two middlewares share: the lease around a handler, and
// what becomes of a task that gets none.
type guard struct {
	locker   *redlock.Locker
	cfg      guardConfig
	requeues requeues
}

// run calls the handler under the lease. What the lease's end has to say, the
// Locker's observer hears.
func (g *guard) run(ctx context.Context, lease *redlock.Lease, a attempt, next asynq.Handler) error {
	if err := ctx.Err(); err != nil {
		return err // asynq has given the task to somebody else by now
	}
	if !a.tick.IsZero() {
		ctx = redlock.ContextWithTick(ctx, a.tick)
	}
	return lease.Do(context.WithValue(ctx, heldKey{}, append(slices.Clip(tokens(ctx)), lease.Token())), func(held context.Context) error {
		err := next.ProcessTask(held, a.task)
		if cause := context.Cause(held); err != nil && errors.Is(cause, redlock.ErrLost) {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		return err
	})
}

// sendBack is the error for a task that shall come again.
func (g *guard) sendBack(a attempt, name string, reason error) error {
	if g.requeues.count(time.Now()) {
		g.report(a, Unconfigured, name, invalid("a task that was sent back spent a retry; pass asynqadapter.Configure(cfg) to asynq.NewServer"))
	}
	e := &RequeueError{Name: name, After: spread(g.cfg.requeueDelay), Err: reason, from: &g.requeues}
	g.report(a, Requeued, name, e)
	return e
}

// refuse archives a task that no retry can help.
func (g *guard) refuse(a attempt, name string, reason error) error {
	g.report(a, redlock.Refused, name, reason)
	return fmt.Errorf("%w: %w", asynq.SkipRetry, reason)
}

func (g *guard) report(a attempt, kind redlock.EventKind, name string, err error) {
	g.locker.Report(redlock.Event{Kind: kind, Name: name, Tick: a.tick, Err: &TaskError{Type: a.task.Type(), ID: a.id, Queue: a.queue, Err: err}})
}

// undecided reports whether a task that got no lease for err may get one later.
func undecided(err error) bool {
	return errors.Is(err, redlock.ErrTaken) || errors.Is(err, redlock.ErrNoQuorum) || errors.Is(err, redlock.ErrClosed)
}

// heldKey is the context key of the tokens of all leases that a handler runs
// under: redlock.LeaseFrom tells of the innermost only.
type heldKey struct{}

func tokens(ctx context.Context) []string {
	all, _ := ctx.Value(heldKey{}).([]string)
	if lease, ok := redlock.LeaseFrom(ctx); ok { // perhaps of a mutex of the user's own
		all = append(slices.Clip(all), lease.Token())
	}
	return all
}

// covered reports whether the lease that stood in the way is one that the handler
// runs under: another one of that key would never come. A name alone does not tell,
// as the Locker of another middleware may have other nodes.
func covered(ctx context.Context, err error) bool {
	var refusal *redlock.Error
	return errors.Is(err, redlock.ErrTaken) && errors.As(err, &refusal) && slices.Contains(tokens(ctx), refusal.Holder)
}
