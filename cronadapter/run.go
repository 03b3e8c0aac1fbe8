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
	zone   atomic.Pointer[time.Location] // in which cron asked last
	asking *asking
	kept   context.Context // ends when the job is removed, which a run outlives
	end    func()
	// removed is set once, without a monotonic reading: ticks are instants of the wall clock.
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
	r.asking = a.askingOf(name)
	r.kept, r.end = context.WithCancel(r.asking.ctx)
	if err := r.follow(p); err != nil {
		r.remove()
		return nil, err
	}
	a.runners.Store(name, r)
	if a.ctx.Err() != nil { // after Store: a Stop that comes now frees the name
		a.Remove(nil, name)
		return nil, invalid("job %q comes after Stop, so it would never run; make a new Adapter", name)
	}
	return r, nil
}

func (r *runner) remove() {
	r.end()
	r.asking.endSoon()
	r.free()
}

// follow has the options that a schedule asks for. The user's come after them.
func (r *runner) follow(p pace) error {
	job, err := r.newJob(p, p.every)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pace, r.job = p, job
	return nil
}

// current is what the runner follows. Under Wrap it changes once, when the entry
// is first seen.
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
	opts = append(append(opts, r.a.cfg.jobs...), r.opts...)
	job, err := r.a.locker.NewJob(r.name, opts...)
	if err != nil {
		return nil, fmt.Errorf("cronadapter: job %q: %w", r.name, err)
	}
	return job, nil
}

// jobFor has a spacing of its own for a tick that other replicas may not have.
func (r *runner) jobFor(t *turn) (*redlock.Job, error) {
	p, job := r.current()
	if t.triggered {
		return job.Triggered(), nil
	}
	if p.every > 0 || !p.own {
		return job, nil
	}
	return r.newJob(p, p.spacing(t.tick))
}

// run claims a tick and runs f while the lease is held. What redlock refuses it
// has reported itself.
func (r *runner) run(t *turn, f func(ctx context.Context) error) error {
	err := r.claim(t, func(ctx context.Context) error {
		t.began.Store(true)
		return f(ctx)
	})
	var theirs *redlock.Error
	if err != nil && !t.began.Load() && !errors.As(err, &theirs) {
		r.refuse(t.tick, err)
	}
	return err
}

// next is the tick after one, or zero when there is none. A schedule that answers differently each time is not asked: it may
// not bear it while cron asks.
func (r *runner) next(tick time.Time) time.Time {
	p, _ := r.current()
	switch zone := r.zone.Load(); {
	case p.schedule == nil:
		return time.Time{}
	case p.moves:
		return tick.Add(p.gap)
	case zone != nil:
		tick = tick.In(zone)
	}
	if next := p.schedule.Next(tick); next.After(tick) { // else who walks through the ticks would not come to an end
		return next
	}
	return time.Time{}
}

// claim asks for ticks in order where a later one must not be granted first: under
// take-over, and after a reload until the ticks that came meanwhile are claimed.
func (r *runner) claim(t *turn, f func(ctx context.Context) error) (err error) {
	if t.tick.IsZero() {
		return errNotDue
	}
	_, job := r.current()
	waits := job.Takeover()
	if t.triggered || !waits && !t.reloaded && r.asking.backlog.empty() {
		return r.ask(t, f)
	}
	leave, err := r.asking.backlog.enter(r.asking.ctx)
	if err != nil {
		return err
	}
	defer leave()
	return r.afterOwed(t.tick, f, func() error {
		if waits {
			return r.ask(t, f)
		}
		if !t.reloaded { // the next tick need not wait for this one
			leave()
		}
		return r.ask(t, func(ctx context.Context) error {
			leave() // a tick that comes now is skipped, not late
			return f(ctx)
		})
	})
}

// afterOwed asks for the ticks before this one that came during a reload, and then
// calls next, even if f panics.
func (r *runner) afterOwed(tick time.Time, f func(ctx context.Context) error, next func() error) (err error) {
	older, ok := r.asking.backlog.owedBefore(tick)
	if !ok {
		return next()
	}
	defer func() { err = r.afterOwed(tick, f, next) }()
	return r.ask(&turn{tick: older}, f)
}

func (r *runner) ask(t *turn, f func(ctx context.Context) error) (err error) {
	job, err := r.jobFor(t)
	if err != nil {
		return err
	}
	lease, err := job.Await(r.asking.ctx, t.tick)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Unlock(r.a.ctx)) }()
	return lease.Do(r.a.ctx, f)
}

func (r *runner) refuse(tick time.Time, err error) {
	r.a.report(redlock.Refused, r.fullName(), tick, err)
}

// fullName has the Locker's prefix, as in redlock's events.
func (r *runner) fullName() string {
	_, job := r.current()
	return job.Name()
}

// spawn runs f on a goroutine that [Adapter.Stop] waits for, unless the job is
// gone.
func (r *runner) spawn(f func()) {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	if r.kept.Err() == nil {
		r.a.catching.Go(f)
	}
}

// listen calls run for each trigger of the job until it is removed, if the
// adapter is to.
func (r *runner) listen(run func(tick time.Time)) error {
	if !r.a.cfg.triggers {
		return nil
	}
	stop, err := r.job.OnTrigger(run)
	if err == nil {
		context.AfterFunc(r.kept, stop)
	}
	return err
}
