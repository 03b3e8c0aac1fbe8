package gocronadapter

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/redlock"
)

// Elector is a gocron.Elector: only the leader runs jobs. It is safe for
// concurrent use.
//
// It promises less than a [Locker]: if the leader changes between the clocks of two
// replicas, or in the middle of a run, both or neither may run the tick. gocron asks
// it before each run, not during it; see [Elector.Task].
type Elector struct {
	elector *redlock.Elector

	mu    sync.Mutex
	term  context.Context // ends with the leadership; nil without it
	tasks sync.WaitGroup
}

var _ gocron.Elector = (*Elector)(nil)

// NewElector returns an Elector for gocron.WithDistributedElector. All replicas use
// the same name; opts are those of its mutex. It campaigns only while
// [Elector.Run] runs.
func NewElector(locker *redlock.Locker, name string, opts ...redlock.MutexOption) (*Elector, error) {
	if locker == nil {
		return nil, invalid("locker is nil; make one with redlock.New")
	}
	m, err := locker.NewMutex(name, opts...)
	if err != nil {
		return nil, err
	}
	e, err := redlock.NewElector(m)
	if err != nil {
		return nil, err
	}
	return &Elector{elector: e}, nil
}

// Run campaigns until ctx ends, steps down, and returns ctx's error. Call it once,
// in a goroutine of its own. It steps down only after the tasks of [Elector.Task]
// have returned.
func (e *Elector) Run(ctx context.Context) error { return e.elector.Run(ctx, e.lead) }

func (e *Elector) lead(term context.Context) error {
	e.mu.Lock()
	e.term = term
	e.mu.Unlock()
	<-term.Done()
	e.mu.Lock() // by now e.tasks counts each task that has seen the term alive
	e.term = nil
	e.mu.Unlock()
	e.tasks.Wait()
	return nil
}

// IsLeader returns nil on the leader. Elsewhere its error matches
// redlock.ErrNotLeader. gocron calls it before each run. It compares the local
// clock with the end of the lease and asks no node.
func (e *Elector) IsLeader(ctx context.Context) error { return e.elector.IsLeader(ctx) }

// Task returns a gocron task that calls f with a context that ends with the
// leadership, with a cause that matches redlock.ErrLost if it was lost, or when
// gocron ends the job. The context has no tick and no lease. Elsewhere than on the
// leader f is not called, and the error matches [ErrNoLease].
func (e *Elector) Task(f func(ctx context.Context) error) gocron.Task {
	if f == nil {
		return gocron.NewTask(nil) // NewJob refuses it
	}
	return gocron.NewTask(func(ctx context.Context) error {
		e.mu.Lock()
		term := e.term
		leads := term != nil && term.Err() == nil
		if leads {
			e.tasks.Add(1)
		}
		e.mu.Unlock()
		if !leads {
			return fmt.Errorf("%w: %w", ErrNoLease, redlock.ErrNotLeader)
		}
		defer e.tasks.Done()
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(term, func() { cancel(context.Cause(term)) })()
		return f(ctx)
	})
}

// Resign hands the leadership to another replica. [Elector.Run] keeps campaigning.
func (e *Elector) Resign() { e.elector.Resign() }

// Leader returns the leader's name, as redlock.HolderOf does, or "" if nobody
// leads. It asks the nodes.
func (e *Elector) Leader(ctx context.Context) (string, error) { return e.elector.Leader(ctx) }
