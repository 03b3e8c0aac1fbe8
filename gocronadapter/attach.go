package gocronadapter

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"
)

// Attach lets the Locker ask the scheduler for the tick of each run. Call it
// once, before Start, with the scheduler that was made with this Locker. Its error
// matches redlock.ErrInvalid if the Locker is attached already, or the scheduler has
// an elector or another clock.
//
// Unlike [NewScheduler], an attached Locker cannot see a job's options. So
//
//   - the instant at which gocron.WithStartImmediately starts a job counts as a
//     tick, except for a one-time job;
//   - a run by RunNow, between a restart of the scheduler and the job's next tick, may
//     take a tick that came while it was stopped, or be refused because another
//     replica ran that tick;
//   - names are checked when a job first runs;
//   - a run that a listener vetoes is noticed only once a [Task] of the job has
//     run before.
//
// A Locker that is not attached knows only the time. A run's tick is then the
// second (or [WithWindow]) in which it starts. Schedules on whole seconds, such as
// cron's, run each tick once, whatever the clocks show, as long as no replica
// starts it 900 ms late: such a replica takes it for another tick and runs it
// again. RunNow takes the tick of its second, duration jobs must be [Aligned] and
// no shorter than the window, and jobs that share a name are not noticed.
func (l *Locker) Attach(s gocron.Scheduler) error {
	if s == nil {
		return invalid("scheduler is nil; make one with gocron.NewScheduler")
	}
	if err := l.check(s); err != nil {
		return err
	}
	a := &attachment{scheduler: s, since: l.clock.Now(), listing: make(chan struct{}, 1), states: make(map[string]*jobState), extraRuns: make(map[uuid.UUID]*extraRuns)}
	if !l.attached.CompareAndSwap(nil, a) {
		return invalid("this Locker is attached already; make one for each scheduler")
	}
	return nil
}

// check refuses a scheduler that cannot work with the Locker.
func (l *Locker) check(s gocron.Scheduler) error {
	if hidden(s, "elector").IsValid() {
		return invalid("the scheduler has an elector too, and gocron then never asks its locker; leave one of them out")
	}
	if theirs := hidden(s, "clock"); theirs.IsValid() && theirs.Type() != reflect.TypeOf(l.clock) {
		return invalid("gocron's clock is a %v, the Locker's is a %T; give both the same one, with WithClock of this package", theirs.Type(), l.clock)
	}
	return nil
}

// hidden returns the value in this field of gocron's executor, if there is one.
// gocron has no method for it. If another release keeps it elsewhere, only a
// check is lost.
func hidden(s gocron.Scheduler, field string) reflect.Value {
	v := reflect.Indirect(reflect.ValueOf(s))
	for _, name := range []string{"exec", field} {
		if v.Kind() != reflect.Struct {
			return reflect.Value{}
		}
		v = v.FieldByName(name)
	}
	if v.Kind() != reflect.Interface {
		return reflect.Value{}
	}
	return v.Elem()
}

// attachment finds the job that Lock is called for. gocron passes only a name, so the
// scheduler's jobs are listed once and kept by name.
type attachment struct {
	scheduler gocron.Scheduler
	since     time.Time               // when it was attached
	listing   chan struct{}           // held while a job is looked up; not a mutex, which would stop the time of a synctest bubble
	jobs      map[string][]gocron.Job // of the last listing, nil if there was no answer; guarded by listing

	mu        sync.Mutex
	listings  int // how many have begun
	states    map[string]*jobState
	extraRuns map[uuid.UUID]*extraRuns // from a job's first run until it is gone
}

// known returns the state of a job, or nil, and how many listings have begun. gocron
// gives each job its own context, and a new one when the job is updated or started
// again.
func (a *attachment) known(ctx context.Context, name string) (*jobState, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.states[name]
	if s != nil && s.ctx != ctx {
		s = nil
	}
	return s, a.listings
}

// stateOf looks the job up once and keeps the handle, because gocron does not
// list its jobs while it stops.
func (l *Locker) stateOf(ctx context.Context, a *attachment, name string) (*jobState, error) {
	state, listings := a.known(ctx, name)
	if state != nil {
		return state, nil
	}
	return ask(ctx, func() (*jobState, error) { return l.lookUp(ctx, a, name, listings) })
}

// lookUp makes the state of a job for a run that began after so many listings.
func (l *Locker) lookUp(ctx context.Context, a *attachment, name string, listings int) (*jobState, error) {
	a.listing <- struct{}{}
	defer func() { <-a.listing }()
	state, begun := a.known(ctx, name)
	if state != nil {
		return state, nil // another run of the job looked it up meanwhile
	}
	if begun == listings { // a job that was listed before the run may have been updated since
		a.list()
	}
	jobs := a.jobs[name]
	switch {
	case a.jobs == nil:
		return nil, errStopping
	case len(jobs) == 0:
		return nil, fmt.Errorf("%w: the attached scheduler has no job %q; attach the Locker to the scheduler that uses it", ErrNoTick, name)
	case len(jobs) > 1:
		return nil, errShared(name, describeJob(jobs[0]), describeJob(jobs[1]))
	}
	job := &jobLocker{traits: traits{name: name}, locker: l, job: askedJob{Job: jobs[0], ctx: ctx}, extraRuns: a.extraRunsOf(jobs[0].ID()), queries: make(chan struct{}, 1), ending: func() {}}
	state = newState(ctx, job, a.since)
	job.state.Store(state)
	if err := l.reserve(job, nil); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.states[name] = state
	context.AfterFunc(ctx, func() {
		job.forget()
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.states[name] == state {
			delete(a.states, name)
		}
	})
	return state, nil
}

// extraRunsOf returns the extra runs of one job.
func (a *attachment) extraRunsOf(id uuid.UUID) *extraRuns {
	a.mu.Lock()
	defer a.mu.Unlock()
	x := a.extraRuns[id]
	if x == nil {
		x = new(extraRuns)
		a.extraRuns[id] = x
	}
	return x
}

// list lists the scheduler's jobs. The caller holds listing.
func (a *attachment) list() {
	a.mu.Lock()
	a.listings++
	a.mu.Unlock()
	all := a.scheduler.Jobs()
	if a.jobs = nil; all == nil {
		return // it was shut down
	}
	there := make(map[uuid.UUID]bool)
	a.jobs = make(map[string][]gocron.Job)
	for _, j := range all {
		a.jobs[j.Name()] = append(a.jobs[j.Name()], j)
		there[j.ID()] = true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.extraRuns, func(id uuid.UUID, _ *extraRuns) bool { return !there[id] })
}
