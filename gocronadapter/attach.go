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

// patience bounds how long Lock waits for gocron to answer about a job. A tick is lost after it, and a machine with thousands of
// jobs that are due at once may be busy for ten seconds.
const patience = 30 * time.Second

// Attach lets the Locker ask the scheduler for the tick of each run. Call it
// once, with the scheduler that was made with this Locker, before Start.
//
// It cannot see a job's options, as [NewScheduler] can. So the instant at which
// gocron.WithStartImmediately starts a job is taken for a tick, except for a
// one-time job; names are checked when a job first runs; and a run that a
// listener vetoes is noticed once a [Task] of the job has run before.
//
// A Locker that is not attached knows only the time. It takes a run for that of
// the whole second (or [WithWindow]) in which it starts. Then each tick runs
// once for schedules on whole seconds, such as cron's, whatever the clocks
// show, as long as no replica starts it 900 ms late: one that does takes it for
// another tick and runs it a second time. RunNow takes the second's tick,
// duration jobs must be [Aligned] and no shorter than the window, and jobs that
// share a name are not noticed.
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

// hidden returns what gocron keeps in this field of its executor, if there is
// anything. gocron has no method to ask. One that keeps it elsewhere merely
// loses a warning.
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

// index finds the job that an attached scheduler's Lock is called for. gocron
// passes a name, so the jobs are listed once and kept by name.
type index struct {
	listing chan struct{} // held while a job is looked up; not a mutex, on which a bubble's time would stand still

	mu        sync.Mutex
	scheduler gocron.Scheduler
	since     time.Time // when it was attached
	jobs      map[string][]gocron.Job
	states    map[identity]*jobState
	live      map[string]int // states by name
	extras    map[uuid.UUID]*extras
}

// identity distinguishes the jobs of a scheduler. gocron gives each one a
// context of its own, and a new one when the job is updated or started again.
type identity struct {
	ctx  context.Context
	name string
}

func newIndex() index {
	return index{listing: make(chan struct{}, 1), states: make(map[identity]*jobState), live: make(map[string]int), extras: make(map[uuid.UUID]*extras)}
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

// stateOf looks the job up once and keeps the handle, since gocron does not
// list its jobs while it stops.
func (l *Locker) stateOf(ctx context.Context, s gocron.Scheduler, name string) (*jobState, error) {
	id := identity{ctx, name}
	if state := l.index.known(id); state != nil {
		return state, nil
	}
	return ask(ctx, func() (*jobState, error) { return l.lookUp(s, id) })
}

func (x *index) known(id identity) *jobState {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.states[id]
}

func (l *Locker) lookUp(s gocron.Scheduler, id identity) (*jobState, error) {
	x := &l.index
	x.listing <- struct{}{}
	defer func() { <-x.listing }()
	if state := x.known(id); state != nil {
		return state, nil // another run of the job was here meanwhile
	}
	job, err := l.find(s, id.name)
	if err != nil {
		return nil, err
	}
	o := &owner{job: job, ended: id.ctx.Err}
	if err := l.reserve(id.name, o, nil); err != nil {
		return nil, err
	}
	state := l.newState(id.name, job, traits{}, x.since, x.extrasOf(job.ID()), func(_ context.Context, begins func()) {
		begins()
		_ = job.RunNow() // one that is said to have failed may still come
	})
	x.mu.Lock()
	x.states[id] = state
	x.live[id.name]++
	x.mu.Unlock()
	context.AfterFunc(id.ctx, func() { l.forget(id, o) })
	return state, nil
}

// extrasOf returns those of one job, from its first run on until it is gone.
func (x *index) extrasOf(id uuid.UUID) *extras {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.extras[id]
	if e == nil {
		e = new(extras)
		x.extras[id] = e
	}
	return e
}

func (l *Locker) forget(id identity, o *owner) {
	names.Free(l.locker, id.name, o)
	x := &l.index
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.states, id)
	if x.live[id.name]--; x.live[id.name] <= 0 {
		delete(x.live, id.name)
	}
}

// find returns the only job of that name. What was listed is enough for a job
// that is alone, unless a run of another one by that name has been here. The
// caller holds listing.
func (l *Locker) find(s gocron.Scheduler, name string) (gocron.Job, error) {
	x := &l.index
	x.mu.Lock()
	jobs, again := x.jobs[name], x.live[name] > 0
	x.mu.Unlock()
	if len(jobs) == 1 && !again {
		if _, err := jobs[0].NextRun(); err == nil {
			return jobs[0], nil
		}
	}
	listed, there := make(map[string][]gocron.Job), make(map[uuid.UUID]bool)
	for _, j := range s.Jobs() {
		listed[j.Name()] = append(listed[j.Name()], j)
		there[j.ID()] = true
	}
	x.mu.Lock()
	x.jobs = listed
	maps.DeleteFunc(x.extras, func(id uuid.UUID, _ *extras) bool { return !there[id] })
	x.mu.Unlock()
	switch jobs := listed[name]; len(jobs) {
	case 0:
		return nil, fmt.Errorf("%w: the attached scheduler has no job %q; attach the Locker to the scheduler that uses it", ErrNoTick, name)
	case 1:
		return jobs[0], nil
	default:
		return nil, errShared(name, describe(jobs[0]), describe(jobs[1]))
	}
}

// gocronLimit is how long gocron's handle of a job waits for the scheduler. Then it says that there is no such job, as it says
// at once of one that is gone.
const gocronLimit = time.Second

// askBusy asks the handle of a job, once more each time that it has waited in vain, until ctx ends. It needs no goroutine, as
// gocron's stop is held up for no longer than one such wait.
func askBusy[T any](ctx context.Context, f func() (T, error)) (v T, err error) {
	for end := time.Now().Add(patience); ctx.Err() == nil; {
		asked := time.Now()
		v, err = f()
		switch {
		case ctx.Err() != nil:
		case !errors.Is(err, gocron.ErrJobNotFound) || time.Since(asked) < gocronLimit:
			return v, err
		case !time.Now().Before(end):
			return v, errUnanswered
		}
	}
	return v, ctx.Err()
}

// ask calls f, which blocks while gocron stops, for no longer than ctx lasts:
// gocron ends the jobs' contexts first, and then waits for Lock to return.
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
	limit := time.NewTimer(patience)
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

var errUnanswered = fmt.Errorf("%w: gocron did not answer about its jobs within %v; is a monitor blocking the scheduler?", ErrNoTick, patience)

// asking is the questions for a job's ticks. Once gocron has put another job in its place, the answers would be that one's, and if it
// has random intervals, to ask for more than one tick races with gocron for its random numbers. If it has the same definition of a
// crontab, to ask for them races for that one's parser.
type asking struct {
	mu      sync.Mutex
	stopped bool
	calls   sync.WaitGroup // not the mutex, on which a bubble's time would stand still
}

// begin reports whether a question may be asked.
func (a *asking) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.stopped {
		a.calls.Add(1)
	}
	return !a.stopped
}

// stop returns once no question is open, and none will be asked.
func (a *asking) stop() {
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	a.calls.Wait()
}
