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
// It promises less than a [Locker]: a leader that is replaced between the clocks
// of two replicas, or in the middle of a run, leaves the tick to both or to
// none. gocron asks it before each run, not during it; see [Elector.Task].
type Elector struct {
	elector *redlock.Elector

	mu    sync.Mutex
	term  context.Context // of the leadership, nil without one
	tasks sync.WaitGroup
}

var _ gocron.Elector = (*Elector)(nil)

// NewElector returns an elector for gocron.WithDistributedElector. All replicas
// give it the same name; opts are those of its mutex. It campaigns only while
// [Elector.Run] does.
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

// Run campaigns until ctx ends, steps down, and returns ctx's error. Call it
// once, in a goroutine of its own. It gives the leadership up, and returns, only
// after the tasks of [Elector.Task] have.
func (e *Elector) Run(ctx context.Context) error { return e.elector.Run(ctx, e.lead) }

func (e *Elector) lead(term context.Context) error {
	e.mu.Lock()
	e.term = term
	e.mu.Unlock()
	<-term.Done()
	e.mu.Lock() // a task that has seen the term alive is counted by now
	e.term = nil
	e.mu.Unlock()
	e.tasks.Wait()
	return nil
}

// IsLeader is called by gocron before each run. It compares the local clock
// with the end of the lease and asks no node. On everyone but the leader the
// error matches redlock.ErrNotLeader.
func (e *Elector) IsLeader(ctx context.Context) error { return e.elector.IsLeader(ctx) }

// Task makes a gocron task of f and hands it a context that ends with the
// leadership, with a cause that matches redlock.ErrLost if it was lost, or when
// gocron ends the job. On everyone but the leader f is not run and the error
// matches [ErrNoLease]. There is no tick and no lease in the context.
func (e *Elector) Task(f func(ctx context.Context) error) gocron.Task {
	if f == nil {
		return gocron.NewTask(nil) // NewJob refuses it
	}
	return gocron.NewTask(func(ctx context.Context) error {
		term := e.enter()
		if term == nil {
			return fmt.Errorf("%w: %w", ErrNoLease, redlock.ErrNotLeader)
		}
		defer e.tasks.Done()
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(term, func() { cancel(context.Cause(term)) })()
		return f(ctx)
	})
}

// enter counts a task in and returns the term it belongs to, or nil.
func (e *Elector) enter() context.Context {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.term == nil || e.term.Err() != nil {
		return nil
	}
	e.tasks.Add(1)
	return e.term
}

// Resign hands the leadership to another replica. Run goes on campaigning.
func (e *Elector) Resign() { e.elector.Resign() }

// Leader returns who leads, as in redlock.HolderOf, or "" when nobody does. It
// asks the nodes.
func (e *Elector) Leader(ctx context.Context) (string, error) { return e.elector.Leader(ctx) }
