package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// patience bounds how long Lock waits for gocron to tell about a job.
const patience = 5 * time.Second

// Attach lets the Locker ask the scheduler for the tick of each run. Call it
// once, with the scheduler that was made with this Locker, before Start.
//
// A Locker that is not attached knows only the time. It takes a run for that of
// the whole second (or [WithWindow]) it starts in. Each tick then runs
// once for schedules on whole seconds, such as cron's, as long as no replica
// starts it 900 ms late: one that does takes the tick for another and runs it a
// second time. RunNow counts as a tick, interval jobs are not told apart by
// their spacing, and jobs that share a name are not noticed.
func (l *Locker) Attach(s gocron.Scheduler) error {
	if s == nil {
		return invalid("scheduler is nil; make one with gocron.NewScheduler")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.scheduler != nil {
		return invalid("this Locker is attached already; make one for each scheduler")
	}
	if hasElector(s) {
		return invalid("the scheduler has an elector too, and gocron then ignores its locker; leave one of them out")
	}
	l.scheduler = s
	return nil
}

// hasElector looks where gocron has no method to ask. A gocron that keeps it elsewhere is not found out.
func hasElector(s gocron.Scheduler) bool {
	v := reflect.ValueOf(s)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return false
	}
	exec := v.Elem().FieldByName("exec")
	if exec.Kind() != reflect.Struct {
		return false
	}
	elector := exec.FieldByName("elector")
	return elector.Kind() == reflect.Interface && !elector.IsNil()
}

// attached returns the scheduler, or nil.
func (l *Locker) attached() gocron.Scheduler {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scheduler
}

// book looks the job up once and keeps the handle: gocron cannot be asked for
// its jobs while it stops. gocron gives each job a context of its own, and a
// new one when the job is updated or started again.
func (l *Locker) book(ctx context.Context, s gocron.Scheduler, name string) (*book, error) {
	l.mu.Lock()
	b := l.books[ctx]
	l.mu.Unlock()
	if b != nil {
		return b, nil
	}
	jobs, err := ask(ctx, func() ([]gocron.Job, error) { return s.Jobs(), nil })
	if err != nil {
		return nil, err
	}
	job, err := only(jobs, name)
	if err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b = l.books[ctx]; b == nil {
		b = &book{job: job, armed: l.clock.Now()}
		l.books[ctx] = b
		context.AfterFunc(ctx, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.books, ctx)
		})
	}
	return b, nil
}

// ask calls f, which may block while gocron stops, no longer than ctx lasts.
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
	var none T
	select {
	case r := <-replies:
		return r.value, errors.Join(r.err, ctx.Err())
	case <-ctx.Done():
		return none, ctx.Err()
	case <-limit.C:
		return none, fmt.Errorf("%w: gocron did not tell about its jobs within %v; is a monitor blocking the scheduler?", ErrNoTick, patience)
	}
}

// only finds the job of that name, and refuses a name that does not identify it.
func only(jobs []gocron.Job, name string) (gocron.Job, error) {
	var found gocron.Job
	for _, j := range jobs {
		switch {
		case j.Name() != name:
		case found != nil:
			return nil, fmt.Errorf("%w: %s and %s are both named %q and would take each other's ticks; give each one a name with gocron.WithName",
				ErrJobName, describe(found), describe(j), name)
		default:
			found = j
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: the attached scheduler has no job %q; attach the Locker to the scheduler that uses it", ErrNoTick, name)
	}
	return found, checkName(name)
}

var closure = regexp.MustCompile(`\.func\d+(\.\d+)*$`)

// checkName refuses the name of a closure: it is a number that changes with the code around it.
func checkName(name string) error {
	if closure.MatchString(name) {
		return fmt.Errorf("%w: %q is what the compiler called a function without a name, which may be another one in the next build; name the job with gocron.WithName", ErrJobName, name)
	}
	return nil
}

func describe(j gocron.Job) string {
	return fmt.Sprintf("job %s (%s)", j.ID(), scheduleText(j.Schedule()))
}
