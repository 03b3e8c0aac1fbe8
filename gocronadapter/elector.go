package gocronadapter

import (
	"context"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/redlock"
)

// Elector is a gocron.Elector: only the leader runs jobs. It is safe for
// concurrent use.
type Elector struct{ elector *redlock.Elector }

var _ gocron.Elector = (*Elector)(nil)

// NewElector returns an elector for gocron.WithDistributedElector. All replicas
// give it the same name; opts are those of its mutex. It campaigns only while
// [Elector.Run] does.
func NewElector(locker *redlock.Locker, name string, opts ...redlock.Option) (*Elector, error) {
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
// once, in a goroutine of its own.
func (e *Elector) Run(ctx context.Context) error { return e.elector.Run(ctx, nil) }

// IsLeader is called by gocron before each run. It compares the local clock
// with the end of the lease and asks no node. On everyone but the leader the
// error matches redlock.ErrNotLeader.
func (e *Elector) IsLeader(ctx context.Context) error { return e.elector.IsLeader(ctx) }

// Resign hands the leadership to another replica. Run goes on campaigning.
func (e *Elector) Resign() { e.elector.Resign() }

// Leader returns who leads, as in redlock.HolderOf, or "" when nobody does. It
// asks the nodes.
func (e *Elector) Leader(ctx context.Context) (string, error) { return e.elector.Leader(ctx) }
