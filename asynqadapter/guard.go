package asynqadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// guard is what the two middlewares share: how a task gets its lease, the handler under
// it, and what happens to a task that gets none.
type guard struct {
	locker  *redlock.Locker
	cfg     guardConfig
	skipped redlock.EventKind // a task ended without a run, as its work is done or being done

	firstRequeue sync.Once
	configured   atomic.Bool // Configure was used
}

func newGuard[O any](locker *redlock.Locker, skipped redlock.EventKind, opts []O, apply func(O, *guardConfig)) (*guard, error) {
	c := guardConfig{
		key:          func(_ context.Context, task *asynq.Task) string { return Key(task) },
		maxWait:      DefaultMaxWait,
		requeueDelay: DefaultRequeueDelay,
	}
	for i, o := range opts {
		if any(o) == nil {
			return nil, invalid("option %d is nil; leave it out", i+1)
		}
		apply(o, &c)
	}
	switch {
	case c.key == nil:
		return nil, invalid("key function is nil; leave WithKey out for the task's type and payload")
	case c.busy < Requeue || c.busy > Wait:
		return nil, invalid("busy policy is %d, must be Requeue, Skip or Wait", c.busy)
	case c.maxWait < 0 || c.maxWait > time.Minute:
		return nil, invalid("max wait is %v, must be 0 to 1m (default %v); for as long as it takes, pass WithBusy(Wait)", c.maxWait, DefaultMaxWait)
	case c.requeueDelay < time.Second || c.requeueDelay > 24*time.Hour:
		return nil, invalid("requeue delay is %v, must be 1s to 24h: asynq stores the return in whole seconds", c.requeueDelay)
	case locker == nil:
		return nil, invalid("locker is nil; make one with redlock.New")
	}
	return &guard{locker: locker, cfg: c, skipped: skipped}, nil
}

// middleware returns a middleware that passes each delivery to process.
func middleware(process func(ctx context.Context, d delivery, next asynq.Handler) error) asynq.MiddlewareFunc {
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			return process(ctx, deliveryOf(ctx, task), next)
		})
	}
}

type acquireFunc func(context.Context) (*redlock.Lease, error)

// serve runs the handler under a lease. try does not wait for a lease; wait does.
func (g *guard) serve(ctx context.Context, d delivery, name string, try, wait acquireFunc, next asynq.Handler) error {
	lease, err := g.enter(ctx, d, name, try, wait)
	switch {
	case err == nil:
		return g.run(ctx, lease, d, next)
	case covered(ctx, err):
		return next.ProcessTask(ctx, d.task)
	case ctx.Err() != nil:
		return err
	case g.superfluous(d, err):
		g.report(d, g.skipped, name, err)
		return nil
	case errors.Is(err, redlock.ErrTickStale):
		return g.refuse(d, name, err)
	case undecided(err) && !d.last:
		return g.sendBack(d, name, err)
	}
	return err
}

// enter acquires the lease. It waits as the busy policy says.
func (g *guard) enter(ctx context.Context, d delivery, name string, try, wait acquireFunc) (*redlock.Lease, error) {
	if g.cfg.busy == Wait && len(tokens(ctx)) == 0 { // it queues at once, as no lease of its own can block it
		return wait(ctx)
	}
	lease, err := try(ctx)
	switch {
	case !undecided(err) || covered(ctx, err) || ctx.Err() != nil || g.superfluous(d, err):
		return lease, err
	case g.cfg.busy == Wait:
		return wait(ctx)
	case d.last:
		g.report(d, Waiting, name, err)
		return wait(ctx)
	case g.cfg.maxWait == 0:
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, g.cfg.maxWait)
	defer cancel()
	lease, late := wait(limited)
	if late != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, err // the reason for waiting, not the timeout
	}
	return lease, late
}

// superfluous reports whether a task that got no lease need not run: its tick is done,
// or under [Skip] its key is held, and not by an earlier delivery of the same task.
func (g *guard) superfluous(d delivery, err error) bool {
	refusal, _ := errors.AsType[*redlock.Error](err)
	return errors.Is(err, redlock.ErrTickDone) ||
		g.cfg.busy == Skip && errors.Is(err, redlock.ErrTaken) && !(refusal != nil && d.holds(refusal.Holder))
}

// undecided reports whether a task that got no lease for err may get one later.
func undecided(err error) bool {
	return errors.Is(err, redlock.ErrTaken) || errors.Is(err, redlock.ErrNoQuorum) || errors.Is(err, redlock.ErrClosed)
}

// run calls the handler under the lease and releases it. A claimed tick is done when the
// handler succeeds or revokes the task. After another error or a panic asynq delivers
// the task again. The Locker's observer is told how the lease ends, and of a release
// that no majority confirmed.
func (g *guard) run(ctx context.Context, lease *redlock.Lease, d delivery, next asynq.Handler) (err error) {
	release := lease.Abandon // which unlocks a mutex
	defer func() { _ = release(ctx) }()
	if err := ctx.Err(); err != nil {
		return err // asynq may have given the task to another worker by now
	}
	if !d.tick.IsZero() {
		ctx = redlock.ContextWithTick(ctx, d.tick)
	}
	held, stop := lease.Bind(context.WithValue(ctx, heldKey{}, append(slices.Clip(tokens(ctx)), lease.Token())))
	defer stop()
	err = errors.New("asynqadapter: the handler panicked, as asynq reports, or called runtime.Goexit")
	defer func() { lease.SetResult(err) }() // not Lease.Do, which recovers a panic: asynq would take the line where it goes on for its origin
	err = next.ProcessTask(held, d.task)
	if err == nil || errors.Is(err, asynq.RevokeTask) {
		release = lease.Unlock
	}
	if cause := context.Cause(held); err != nil && errors.Is(cause, redlock.ErrLost) {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}

// sendBack returns the error that makes asynq deliver the task again later.
func (g *guard) sendBack(d delivery, name string, reason error) error {
	g.firstRequeue.Do(func() {
		time.AfterFunc(configureLimit, func() {
			if !g.configured.Load() {
				g.report(d, Unconfigured, name, invalid("a task that was sent back spent a retry; pass asynqadapter.Configure(cfg) to asynq.NewServer"))
			}
		})
	})
	after := g.cfg.requeueDelay
	after += rand.N(after / 2) // tasks sent back together do not return together
	e := &RequeueError{Name: name, After: after, Err: reason, configured: &g.configured}
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
	refusal, ok := errors.AsType[*redlock.Error](err)
	return ok && errors.Is(err, redlock.ErrTaken) && slices.Contains(tokens(ctx), refusal.Holder)
}

// delivery is one delivery of a task by asynq.
type delivery struct {
	task  *asynq.Task
	id    string
	queue string
	tick  time.Time // zero if the task has none
	last  bool      // no retries are left: asynq archives the task on any error, whatever IsFailure says
}

func deliveryOf(ctx context.Context, task *asynq.Task) delivery {
	d := delivery{task: task}
	d.tick, _ = TickOf(task)
	d.id, _ = asynq.GetTaskID(ctx)
	d.queue, _ = asynq.GetQueueName(ctx)
	retried, known := asynq.GetRetryCount(ctx)
	limit, _ := asynq.GetMaxRetry(ctx)
	d.last = known && retried >= limit
	return d
}

// owner returns the task's queue and ID as one word that redlock accepts. IDs are
// unique only within a queue.
func (d delivery) owner() string {
	word := d.queue + "/" + d.id
	if len(word) <= 128 && !strings.Contains(word, " ") {
		return word
	}
	return digest([]byte(word))
}

// holder returns the text that shows in the lock's token which task and process hold
// it.
func (d delivery) holder() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("task %s on %.64s:%d", d.owner(), cmp.Or(host, "unknown"), os.Getpid())
}

// holds reports whether token belongs to a delivery of this task, in any process:
// asynq may deliver a task again while its handler still runs, after a Shutdown that
// timed out or when asynq's own lease expired. As an ID may be used twice, this does
// not prove that the task is done.
func (d delivery) holds(token string) bool {
	return d.id != "" && strings.HasPrefix(redlock.HolderOf(token), "task "+d.owner()+" on ")
}
