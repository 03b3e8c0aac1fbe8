package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/redlock"
)

// Task returns a gocron task that calls f with the context of its own run. That
// context ends when the lease is lost, with a cause that matches redlock.ErrLost,
// or when gocron ends the job. redlock.LeaseFrom and redlock.TickFrom work on it.
//
// The job needs gocron.WithName, because gocron would name it after Task. If the
// lease is lost before f returns, the run's error matches redlock.ErrLost; if it is
// lost before f begins, f is not called. Without a lease f is not called either,
// and the error matches [ErrNoLease]. NewJob refuses a nil f.
func Task(f func(ctx context.Context) error) gocron.Task {
	if f == nil {
		return gocron.NewTask(nil) // NewJob refuses it
	}
	return known(gocron.NewTask(wrapper{f}.run))
}

// known returns a task that isTask recognizes by its code pointer. Inlining would make more than one copy of the code.
//
//go:noinline
func known[T any](task func() T) func() T { return func() T { return task() } }

// isTask reports whether a task was made by Task.
func isTask(task gocron.Task) bool { return reflect.ValueOf(task).Pointer() == taskCode }

var (
	taskCode = reflect.ValueOf(Task(func(context.Context) error { return nil })).Pointer()
	taskName = runtime.FuncForPC(reflect.ValueOf(wrapper{}.run).Pointer()).Name() // gocron's name for a job of Task without a name
)

// wrapper is a named type so that its method has a known name, taskName.
type wrapper struct {
	f func(ctx context.Context) error
}

func (w wrapper) run(ctx context.Context) error {
	r := handOver.take(ctx)
	if r == nil {
		return fmt.Errorf("%w: the scheduler did not lock this run; it needs a Locker of this package, and no elector beside it", ErrNoLease)
	}
	if lost := context.Cause(r.lease.Context()); lost != nil {
		return lost // a listener took too long
	}
	return r.lease.Do(ctx, func(held context.Context) error {
		defer r.taskEnded()
		err := w.f(held)
		if lost := context.Cause(held); errors.Is(lost, redlock.ErrLost) && !errors.Is(err, redlock.ErrLost) {
			err = errors.Join(err, lost)
		}
		return err
	})
}

// handOver carries a run from Lock to its task. All that gocron passes to both is the job's context.
var handOver = runs{waiting: make(map[context.Context][]*run)}

type runs struct {
	mu      sync.Mutex
	waiting map[context.Context][]*run
}

func (q *runs) put(r *run) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting[r.job] = append(q.waiting[r.job], r)
}

// oldest returns the job's oldest run, or nil. If there are two, the oldest has lost its lease.
func (q *runs) oldest(job context.Context) *run {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting[job]) == 0 {
		return nil
	}
	return q.waiting[job][0]
}

// take returns the newest run of the job that has not begun, or nil. There is an
// older one only if it lost its lease while a listener delayed it.
func (q *runs) take(job context.Context) *run {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting[job]) == 0 {
		return nil
	}
	r := q.waiting[job][len(q.waiting[job])-1]
	q.remove(r)
	r.begun = true
	return r
}

// hasBegun reports whether a task has taken the run.
func (q *runs) hasBegun(r *run) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return r.begun
}

// drop removes a run and reports whether a task had taken it.
func (q *runs) drop(r *run) (begun bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(r)
	return r.begun
}

func (q *runs) remove(r *run) {
	rest := slices.DeleteFunc(q.waiting[r.job], func(other *run) bool { return other == r })
	if len(rest) == 0 {
		delete(q.waiting, r.job)
		return
	}
	q.waiting[r.job] = rest
}
