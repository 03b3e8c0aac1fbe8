package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/internal/names"
)

// answerTimeout bounds how long Lock waits for gocron to answer about a job; then the tick is lost. A machine with thousands of jobs
// due at once may be busy for ten seconds.
const answerTimeout = 30 * time.Second

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
	if hidden(s, "elector").IsValid() {
		return invalid("the scheduler has an elector too, and gocron then never asks its locker; leave one of them out")
	}
	if theirs := hidden(s, "clock"); theirs.IsValid() && theirs.Type() != reflect.TypeOf(l.clock) {
		return invalid("gocron's clock is a %v, the Locker's is a %T; give both the same one, with WithClock of this package", theirs.Type(), l.clock)
	}
	return l.index.attach(s, l.clock.Now())
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

// index finds the job that Lock is called for. gocron passes only a name, so the
// scheduler's jobs are listed once and kept by name.
type index struct {
	listing chan struct{} // held while a job is looked up; not a mutex, which would stop the time of a synctest bubble

	mu        sync.Mutex
	scheduler gocron.Scheduler
	since     time.Time               // when it was attached
	jobs      map[string][]gocron.Job // of the last listing
	listings  int                     // how many have begun
	states    map[identity]*jobState
	extraRuns map[uuid.UUID]*extraRuns
}

// identity distinguishes the jobs of a scheduler. gocron gives each job its own
// context, and a new one when the job is updated or started again.
type identity struct {
	ctx  context.Context
	name string
}

func newIndex() index {
	return index{listing: make(chan struct{}, 1), states: make(map[identity]*jobState), extraRuns: make(map[uuid.UUID]*extraRuns)}
}

func (x *index) attach(s gocron.Scheduler, now time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.scheduler != nil {
		return invalid("this Locker is attached already; make one for each scheduler")
	}
	x.scheduler, x.since = s, now
	return nil
}

// attached returns the scheduler, or nil.
func (x *index) attached() gocron.Scheduler {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.scheduler
}

// stateOf looks the job up once and keeps the handle, because gocron does not
// list its jobs while it stops.
func (l *Locker) stateOf(ctx context.Context, s gocron.Scheduler, name string) (*jobState, error) {
	id := identity{ctx, name}
	state, listings := l.index.known(id)
	if state != nil {
		return state, nil
	}
	return ask(ctx, func() (*jobState, error) { return l.lookUp(s, id, listings) })
}

// known returns the state of a job, or nil, and how many listings have begun.
func (x *index) known(id identity) (*jobState, int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.states[id], x.listings
}

// lookUp makes the state of a job for a run that began after so many listings.
func (l *Locker) lookUp(s gocron.Scheduler, id identity, listings int) (*jobState, error) {
	x := &l.index
	x.listing <- struct{}{}
	defer func() { <-x.listing }()
	state, begun := x.known(id)
	if state != nil {
		return state, nil // another run of the job looked it up meanwhile
	}
	if begun == listings { // a job that was listed before the run may have been updated since
		l.list(s)
	}
	job, err := l.find(id.name)
	if err != nil {
		return nil, err
	}
	o := &owner{job: job, ended: id.ctx.Err}
	if err := l.reserve(id.name, o, nil); err != nil {
		return nil, err
	}
	state = l.newState(id.name, job, traits{}, x.since, x.extraRunsOf(job.ID()), func(_ context.Context, announce func()) {
		announce()
		_ = job.RunNow() // the run may come even after an error
	}, new(queries))
	x.mu.Lock()
	x.states[id] = state
	x.mu.Unlock()
	context.AfterFunc(id.ctx, func() { l.forget(id, o) })
	return state, nil
}

// extraRunsOf returns the extra runs of one job. They are kept from its first run until it is gone.
func (x *index) extraRunsOf(id uuid.UUID) *extraRuns {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.extraRuns[id]
	if e == nil {
		e = new(extraRuns)
		x.extraRuns[id] = e
	}
	return e
}

func (l *Locker) forget(id identity, o *owner) {
	names.Free(l.locker, id.name, o)
	x := &l.index
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.states, id)
}

// list lists the scheduler's jobs. The caller holds listing.
func (l *Locker) list(s gocron.Scheduler) {
	x := &l.index
	x.mu.Lock()
	x.listings++
	x.mu.Unlock()
	listed, there := make(map[string][]gocron.Job), make(map[uuid.UUID]bool)
	for _, j := range s.Jobs() {
		listed[j.Name()] = append(listed[j.Name()], j)
		there[j.ID()] = true
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.jobs = listed
	maps.DeleteFunc(x.extraRuns, func(id uuid.UUID, _ *extraRuns) bool { return !there[id] })
}

// find returns the only job of the last listing with that name. The caller holds listing.
func (l *Locker) find(name string) (gocron.Job, error) {
	x := &l.index
	x.mu.Lock()
	defer x.mu.Unlock()
	switch jobs := x.jobs[name]; len(jobs) {
	case 0:
		return nil, fmt.Errorf("%w: the attached scheduler has no job %q; attach the Locker to the scheduler that uses it", ErrNoTick, name)
	case 1:
		return jobs[0], nil
	default:
		return nil, errShared(name, describeJob(jobs[0]), describeJob(jobs[1]))
	}
}

// gocronTimeout is how long gocron's handle of a job waits for the scheduler. After that it returns ErrJobNotFound, which it returns
// at once for a job that is gone.
const gocronTimeout = time.Second

// askBusy calls f, which asks the handle of a job, again each time it times out, until ctx ends or answerTimeout is over. It needs no
// goroutine, because it holds up gocron's stop for one gocronTimeout at most.
func askBusy[T any](ctx context.Context, f func() (T, error)) (v T, err error) {
	for end := time.Now().Add(answerTimeout); ctx.Err() == nil; {
		asked := time.Now()
		v, err = f()
		switch {
		case ctx.Err() != nil:
		case !errors.Is(err, gocron.ErrJobNotFound) || time.Since(asked) < gocronTimeout:
			return v, err
		case !time.Now().Before(end):
			return v, errUnanswered
		}
	}
	return v, ctx.Err()
}

// ask calls f, which blocks while gocron stops, and returns when ctx ends at the
// latest: gocron ends the jobs' contexts first, and then waits for Lock.
func ask[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type reply struct {
		value T
		err   error
	}
	replies := make(chan reply, 1)
	go func() {
		v, err := f()
		replies <- reply{v, err}
	}()
	limit := time.NewTimer(answerTimeout)
	defer limit.Stop()
	var r reply
	select {
	case r = <-replies:
	case <-ctx.Done():
	case <-limit.C:
		r.err = errUnanswered
	}
	if ctx.Err() != nil {
		return r.value, ctx.Err()
	}
	return r.value, r.err
}

var errUnanswered = fmt.Errorf("%w: gocron did not answer about its jobs within %v; is a monitor blocking the scheduler?", ErrNoTick, answerTimeout)

// queries counts the open queries for a job's ticks, so that none overlaps with an Update. After the Update they would return the new
// job's ticks, and race with gocron: for the random numbers of a job with random intervals, or for the parser of a cron definition that
// both jobs share.
type queries struct {
	mu      sync.Mutex
	stopped bool
	calls   sync.WaitGroup // not mu, which would stop the time of a synctest bubble
}

// begin reports whether a query may begin. If so, the caller ends it with calls.Done.
func (q *queries) begin() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.stopped {
		q.calls.Add(1)
	}
	return !q.stopped
}

// stop refuses further queries and waits for the open ones.
func (q *queries) stop() {
	q.mu.Lock()
	q.stopped = true
	q.mu.Unlock()
	q.calls.Wait()
}
