package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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
	return known(gocron.NewTask(func(ctx context.Context) error { return runTask(ctx, f) }))
}

// known returns a task that isTask recognizes by its code pointer. Inlining would make more than one copy of the code.
//
//go:noinline
func known[T any](task func() T) func() T { return func() T { return task() } }

// isTask reports whether a task was made by Task.
func isTask(task gocron.Task) bool { return reflect.ValueOf(task).Pointer() == taskCode }

var taskCode = reflect.ValueOf(known(gocron.NewTask(nil))).Pointer()

func runTask(ctx context.Context, f func(ctx context.Context) error) error {
	r := handOver.take(ctx)
	if r == nil {
		return fmt.Errorf("%w: the scheduler did not lock this run; it needs a Locker of this package, and no elector beside it", ErrNoLease)
	}
	if lost := context.Cause(r.lease.Context()); lost != nil {
		return lost // a listener took too long
	}
	return r.lease.Do(ctx, func(held context.Context) error {
		defer r.taskEnded()
		err := f(held)
		if lost := context.Cause(held); errors.Is(lost, redlock.ErrLost) && !errors.Is(err, redlock.ErrLost) {
			err = errors.Join(err, lost)
		}
		return err
	})
}

// handOver carries a run from Lock to its task. All that gocron passes to both is the job's context.
var handOver = runs{of: make(map[context.Context][]*run)}

// runs are the runs of each job, oldest first, until they are unlocked. There are two only if the older one has lost its lease.
type runs struct {
	mu sync.Mutex
	of map[context.Context][]*run
}

func (q *runs) put(r *run) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.of[r.job] = append(q.of[r.job], r)
}

// oldest returns the job's oldest run, or nil.
func (q *runs) oldest(job context.Context) *run {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.of[job]) == 0 {
		return nil
	}
	return q.of[job][0]
}

// take returns the newest run of the job that has not begun, or nil. There is an
// older one only if it lost its lease while a listener delayed it.
func (q *runs) take(job context.Context) *run {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range slices.Backward(q.of[job]) {
		if r.begun.CompareAndSwap(false, true) {
			return r
		}
	}
	return nil
}

func (q *runs) drop(r *run) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.of[r.job] = slices.DeleteFunc(q.of[r.job], func(other *run) bool { return other == r })
	if len(q.of[r.job]) == 0 {
		delete(q.of, r.job)
	}
}
