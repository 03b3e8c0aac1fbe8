package cronadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/internal/names"
	"github.com/redtick/redtick/redlock"
)

// runner runs the ticks of one name.
type runner struct {
	a      *Adapter
	name   string
	opts   []redlock.JobOption
	zone   atomic.Pointer[time.Location] // in which cron asks for ticks; nil before it has
	pace   atomic.Pointer[pace]          // under Wrap, that of the entry that ran last
	claims *claims
	ctx    context.Context // canceled when the job is removed; a run in progress goes on
	cancel func()
	handOver
}

// newRunner reserves the name, checks the options, and under [WithTriggers] calls
// triggered for each trigger until the job is removed.
func (a *Adapter) newRunner(name string, p pace, opts []redlock.JobOption, triggered func(r *runner, tick time.Time)) (*runner, error) {
	r := &runner{a: a, name: name, opts: opts}
	if err := r.reserve(); err != nil {
		return nil, err
	}
	r.claims = a.claimsOf(name)
	r.ctx, r.cancel = context.WithCancel(r.claims.ctx)
	err := r.setPace(p)
	if err == nil {
		err = r.prepare(triggered)
	}
	if err != nil {
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

// prepare refuses a catch-up for a schedule whose missed ticks are not known, and
// listens to triggers.
func (r *runner) prepare(triggered func(r *runner, tick time.Time)) error {
	p := r.pace.Load()
	switch {
	case p.job.CatchUp() > 0 && p.schedule == nil:
		return invalid("job %q has WithCatchUp, which Wrap cannot do because it knows no schedule before the first tick; use Add or NewJob", r.name)
	case p.job.CatchUp() > 0 && p.relative:
		return invalid("the schedule of job %q counts from when it is asked, so missed ticks are not known and WithCatchUp is not possible; use a schedule with the same ticks on all replicas", r.name)
	case !r.a.cfg.triggers:
		return nil
	}
	stop, err := p.job.OnTrigger(func(tick time.Time) { triggered(r, tick) })
	if err == nil {
		context.AfterFunc(r.ctx, stop)
	}
	return err
}

// setPace makes the runner's job, with the options that the schedule needs.
func (r *runner) setPace(p pace) (err error) {
	if p.job, err = r.newJob(&p, p.every); err != nil {
		return fmt.Errorf("cronadapter: job %q: %w", r.name, err)
	}
	r.pace.Store(&p)
	return nil
}

func (r *runner) newJob(p *pace, spacing time.Duration) (*redlock.Job, error) {
	spread := min(DefaultSpread, cmp.Or(p.gap/20, DefaultSpread))
	opts := []redlock.JobOption{redlock.WithSpread(spread), redlock.WithSchedule(p.words, r.next)}
	if spacing > 0 {
		opts = append(opts, redlock.WithSpacing(spacing))
	}
	job, err := r.a.locker.NewJob(r.name, slices.Concat(opts, r.a.cfg.jobs, r.opts)...) // the user's override these
	if err == nil && job.AnyOrder() {
		err = fmt.Errorf("%w: WithAnyOrder does not suit a schedule: its ticks come in order; leave it out", redlock.ErrInvalid)
	}
	return job, err
}

// run claims a tick and runs f while the lease is held. It reports errors that are
// not redlock's, which reports its own.
func (r *runner) run(t *turn, f func(ctx context.Context) error) error {
	err := r.runInOrder(t, func(ctx context.Context) error {
		t.began.Store(true)
		return f(ctx)
	})
	if _, theirs := errors.AsType[*redlock.Error](err); err != nil && !theirs && !t.began.Load() {
		r.refuse(t.tick, err)
	}
	return err
}

// next returns the tick after the given one, or zero when there is none. A relative
// schedule is not asked, as its Next may not be safe while cron calls it.
func (r *runner) next(tick time.Time) time.Time {
	p := r.pace.Load()
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

// runInOrder claims and runs the turn's tick when its turn in the queue has come, and
// the pending ticks of a reload before it.
func (r *runner) runInOrder(t *turn, f func(ctx context.Context) error) error {
	switch {
	case t.tick.IsZero():
		return fmt.Errorf("%w: no tick has come yet, so cron did not start this run; call the function itself, under Mutex.Do if it must not overlap", ErrNoTick)
	case t.triggered:
		return r.claimAndRun(t, f)
	}
	leave, err := r.claims.enter()
	if err != nil {
		return err
	}
	defer leave()
	return r.afterOlder(r.claims.takePending(t.tick), f, func() error {
		if r.pace.Load().job.Takeover() {
			return r.claimAndRun(t, f)
		}
		if !t.reloaded { // let the next tick ask soon, but not beside this one, which it could overtake
			defer time.AfterFunc(r.next(t.tick).Sub(t.tick)/2, leave).Stop()
		}
		return r.claimAndRun(t, func(ctx context.Context) error {
			leave() // a tick that comes during the run is skipped, not delayed
			return f(ctx)
		})
	})
}

// afterOlder runs the older ticks and then calls next, even if f panics.
func (r *runner) afterOlder(older []time.Time, f func(ctx context.Context) error, next func() error) (err error) {
	if len(older) == 0 {
		return next()
	}
	defer func() { err = r.afterOlder(older[1:], f, next) }()
	return r.claimAndRun(&turn{tick: older[0]}, f)
}

func (r *runner) claimAndRun(t *turn, f func(ctx context.Context) error) (err error) {
	p := r.pace.Load()
	job := p.job
	switch {
	case t.triggered:
		job = job.Triggered()
	case p.every == 0 && p.unshared: // other replicas may not have this tick, so it needs a spacing of its own
		if job, err = r.newJob(p, p.spacing(t.tick)); err != nil {
			return err
		}
	}
	lease, err := job.Await(r.claims.ctx, t.tick)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Unlock(r.a.ctx)) }()
	return lease.Do(r.a.ctx, f)
}

func (r *runner) refuse(tick time.Time, err error) { r.report(redlock.Refused, tick, err) }

// report reports an event with the Locker's prefix before the name, as in redlock's.
func (r *runner) report(kind redlock.EventKind, tick time.Time, err error) {
	r.a.locker.Report(redlock.Event{Kind: kind, Name: r.pace.Load().job.Name(), Tick: tick, Err: err})
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

// String and Ended make a runner the owner of its name until Remove or Stop; see
// package names.
func (*runner) String() string { return "a job of another adapter" }
func (*runner) Ended() bool    { return false }

// reserve reserves the name on the adapter's Locker, or says who has it.
func (r *runner) reserve() error {
	if r.name == "" {
		return invalid("name is empty; every job needs its own, the same on all replicas: it is the key of its lock")
	}
	other := names.Reserve(r.a.locker, r.name, r, nil)
	switch of, cron := other.(*runner); {
	case other == nil:
		return nil
	case cron && of.a == r.a:
		return invalid("name %q belongs to another job of this adapter; two jobs of one name would take each other's ticks: choose another, or Remove that one first", r.name)
	}
	return invalid("name %q belongs to %s on the same Locker; two jobs of one name would take each other's ticks: choose another, or remove that one first", r.name, other)
}

func (r *runner) free() { names.Free(r.a.locker, r.name, r) }
