package cronadapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock"
)

// runner runs the ticks of one name.
type runner struct {
	a      *Adapter
	name   string
	opts   []redlock.JobOption
	zone   atomic.Pointer[time.Location] // in which cron asks for ticks; nil before it has
	claims *claims
	ctx    context.Context // canceled when the job is removed; a run in progress goes on
	cancel func()
	// removed has no monotonic reading, because ticks are instants of the wall clock.
	removed time.Time
	handOver

	mu   sync.Mutex
	pace pace
	job  *redlock.Job
}

// newRunner reserves the name and checks the options.
func (a *Adapter) newRunner(name string, p pace, opts []redlock.JobOption) (*runner, error) {
	r := &runner{a: a, name: name, opts: opts}
	if err := r.reserve(); err != nil {
		return nil, err
	}
	r.claims = a.claimsOf(name)
	r.ctx, r.cancel = context.WithCancel(r.claims.ctx)
	if err := r.setPace(p); err != nil {
		r.remove()
		return nil, err
	}
	a.runners.Store(name, r)
	if a.ctx.Err() != nil { // checked after Store: a later Stop frees the name itself
		a.Remove(nil, name)
		return nil, invalid("job %q comes after Stop, so it would never run; make a new Adapter", name)
	}
	return r, nil
}

func (r *runner) remove() {
	r.cancel()
	r.claims.expire()
	r.free()
}

// setPace makes the runner's job, with the options that the schedule needs.
func (r *runner) setPace(p pace) error {
	job, err := r.newJob(p, p.every)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pace, r.job = p, job
	return nil
}

// current returns the pace and the job. Under Wrap they are those of the entry that
// ran last.
func (r *runner) current() (pace, *redlock.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pace, r.job
}

func (r *runner) newJob(p pace, spacing time.Duration) (*redlock.Job, error) {
	spread := DefaultSpread
	if p.gap > 0 {
		spread = min(spread, p.gap/10)
	}
	opts := []redlock.JobOption{redlock.WithSpread(spread), redlock.WithSchedule(p.words, r.next)}
	if spacing > 0 {
		opts = append(opts, redlock.WithSpacing(spacing))
	}
	opts = append(append(opts, r.a.cfg.jobs...), r.opts...) // the user's override these
	job, err := inOrder(r.a.locker.NewJob(r.name, opts...))
	if err != nil {
		return nil, fmt.Errorf("cronadapter: job %q: %w", r.name, err)
	}
	return job, nil
}

// inOrder refuses a job with WithAnyOrder.
func inOrder(job *redlock.Job, err error) (*redlock.Job, error) {
	if err == nil && job.AnyOrder() {
		err = fmt.Errorf("%w: WithAnyOrder does not suit a schedule: its ticks come in order; leave it out", redlock.ErrInvalid)
	}
	return job, err
}

// jobFor returns the job that claims the turn's tick. A tick that other replicas may
// not have needs a spacing of its own.
func (r *runner) jobFor(t *turn) (*redlock.Job, error) {
	p, job := r.current()
	if t.triggered {
		return job.Triggered(), nil
	}
	if p.every > 0 || !p.unshared {
		return job, nil
	}
	return r.newJob(p, p.spacing(t.tick))
}

// run claims a tick and runs f while the lease is held. It reports errors that are
// not redlock's, which reports its own.
func (r *runner) run(t *turn, f func(ctx context.Context) error) error {
	err := r.runInOrder(t, func(ctx context.Context) error {
		t.began.Store(true)
		return f(ctx)
	})
	var theirs *redlock.Error
	if err != nil && !t.began.Load() && !errors.As(err, &theirs) {
		r.refuse(t.tick, err)
	}
	return err
}

// next returns the tick after the given one, or zero when there is none. A relative
// schedule is not asked, as its Next may not be safe while cron calls it.
func (r *runner) next(tick time.Time) time.Time {
	p, _ := r.current()
	switch zone := r.zone.Load(); {
	case p.schedule == nil:
		return time.Time{}
	case p.relative:
		return tick.Add(p.gap)
	case zone != nil:
		tick = tick.In(zone)
	}
	if next := p.schedule.Next(tick); next.After(tick) { // otherwise loops over the ticks would not end
		return next
	}
	return time.Time{}
}

// runInOrder claims and runs the turn's tick. It keeps the order of ticks under
// take-over, and after a reload until the ticks that came during it are claimed.
func (r *runner) runInOrder(t *turn, f func(ctx context.Context) error) (err error) {
	if t.tick.IsZero() {
		return errNotDue
	}
	p, job := r.current()
	waits := job.Takeover()
	if t.triggered || !waits && !t.reloaded && r.claims.backlog.empty() {
		return r.claimAndRun(t, f)
	}
	leave, err := r.claims.backlog.enter(r.claims.ctx)
	if err != nil {
		return err
	}
	defer leave()
	return r.afterPending(t.tick, f, func() error {
		if waits {
			return r.claimAndRun(t, f)
		}
		if !t.reloaded { // let the next tick ask soon, but not beside this one, which it could overtake
			defer time.AfterFunc(p.gap/2, leave).Stop()
		}
		return r.claimAndRun(t, func(ctx context.Context) error {
			leave() // a tick that comes during the run is skipped, not delayed
			return f(ctx)
		})
	})
}

// afterPending runs the pending ticks of a reload that come before tick, and then
// calls next, even if f panics.
func (r *runner) afterPending(tick time.Time, f func(ctx context.Context) error, next func() error) (err error) {
	older, ok := r.claims.backlog.takePendingBefore(tick)
	if !ok {
		return next()
	}
	defer func() { err = r.afterPending(tick, f, next) }()
	return r.claimAndRun(&turn{tick: older}, f)
}

func (r *runner) claimAndRun(t *turn, f func(ctx context.Context) error) (err error) {
	job, err := r.jobFor(t)
	if err != nil {
		return err
	}
	lease, err := job.Await(r.claims.ctx, t.tick)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Unlock(r.a.ctx)) }()
	return lease.Do(r.a.ctx, f)
}

func (r *runner) refuse(tick time.Time, err error) {
	r.a.report(redlock.Refused, r.fullName(), tick, err)
}

// fullName returns the name with the Locker's prefix, as in redlock's events.
func (r *runner) fullName() string {
	_, job := r.current()
	return job.Name()
}

// spawn runs f on a goroutine that [Adapter.Stop] waits for, unless the job was
// removed.
func (r *runner) spawn(f func()) {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	if r.ctx.Err() == nil {
		r.a.spawned.Go(f)
	}
}

// listen calls run for each trigger of the job until the job is removed. It does
// nothing without [WithTriggers].
func (r *runner) listen(run func(tick time.Time)) error {
	if !r.a.cfg.triggers {
		return nil
	}
	stop, err := r.job.OnTrigger(run)
	if err == nil {
		context.AfterFunc(r.ctx, stop)
	}
	return err
}
