package gocronadapter

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// patience bounds how long Lock waits for gocron to tell about a job.
const patience = 5 * time.Second

// Attach lets the Locker ask the scheduler for the tick of each run. Call it
// once, with the scheduler that was made with this Locker, before Start.
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
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.scheduler != nil {
		return invalid("this Locker is attached already; make one for each scheduler")
	}
	if hidden(s, "elector").IsValid() {
		return invalid("the scheduler has an elector too, and gocron then never asks its locker; leave one of them out")
	}
	if theirs := hidden(s, "clock"); theirs.IsValid() && theirs.Type() != reflect.TypeOf(l.clock) {
		return invalid("gocron's clock is a %v, the Locker's is a %T; give both the same one, with WithClock of this package", theirs.Type(), l.clock)
	}
	l.scheduler, l.since = s, l.clock.Now()
	return nil
}

// hidden returns what gocron keeps in this field of its executor, if there is
// anything. gocron has no method to ask; one that keeps it elsewhere merely
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

// attached returns the scheduler, or nil.
func (l *Locker) attached() gocron.Scheduler {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scheduler
}

// identity tells the jobs of a process apart. gocron gives each one a context of
// its own, and a new one when the job is updated or started again.
type identity struct {
	ctx  context.Context
	name string
}

// book looks the job up once and keeps the handle: gocron does not tell its
// jobs while it stops.
func (l *Locker) book(ctx context.Context, s gocron.Scheduler, name string) (*book, error) {
	id := identity{ctx, name}
	l.mu.Lock()
	b := l.books[id]
	l.mu.Unlock()
	if b != nil {
		return b, nil
	}
	job, err := ask(ctx, func() (gocron.Job, error) { return find(s.Jobs(), name) })
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b = l.books[id]; b == nil {
		b = &book{job: job, armed: l.since}
		if l.takesOver(name) {
			b.backlog = new(backlog)
		}
		l.books[id] = b
		context.AfterFunc(ctx, func() { l.forget(id) })
	}
	return b, nil
}

func (l *Locker) forget(id identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.books, id)
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
		r.err = fmt.Errorf("%w: gocron did not tell about its jobs within %v; is a monitor blocking the scheduler?", ErrNoTick, patience)
	}
	if ctx.Err() != nil {
		return r.value, ctx.Err()
	}
	return r.value, r.err
}
