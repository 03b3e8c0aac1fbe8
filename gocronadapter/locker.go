package gocronadapter

import (
	"context"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/redlock"
)

// Locker is a gocron.Locker that runs each tick of a job on one replica. One
// Locker serves one scheduler. It is safe for concurrent use.
type Locker struct {
	locker *redlock.Locker
	config

	mu        sync.Mutex
	scheduler gocron.Scheduler
	books     map[identity]*book
	since     time.Time         // when it was attached
	announced map[uuid.UUID]int // runs that RunNow has started and that have not come yet
}

var _ gocron.Locker = (*Locker)(nil)

// NewLocker returns a Locker for gocron.WithDistributedLocker or
// gocron.WithDistributedJobLocker. [Locker.Attach] it to the scheduler. It
// does not contact the nodes.
func NewLocker(locker *redlock.Locker, opts ...Option) (*Locker, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	if len(c.scheduler) > 0 {
		return nil, invalid("NewLocker makes no scheduler; pass gocron's options to gocron.NewScheduler, or use NewScheduler of this package")
	}
	return newLocker(locker, c)
}

func newLocker(locker *redlock.Locker, c config) (*Locker, error) {
	if locker == nil {
		return nil, invalid("locker is nil; make one with redlock.New")
	}
	if err := c.check(locker); err != nil {
		return nil, err
	}
	return &Locker{locker: locker, config: c, books: make(map[identity]*book), announced: make(map[uuid.UUID]int)}, nil
}

// Lock is called by gocron when a run is due. It never waits for another
// owner's run. Its error reaches AfterLockError unchanged: one of redlock's
// (ErrTickDone, ErrTaken, ErrNoQuorum, …), one of this package's, or ctx's. A
// Locker around this one must pass ctx on as it is.
func (l *Locker) Lock(ctx context.Context, key string) (gocron.Lock, error) {
	if err := checkName(key); err != nil {
		return nil, err
	}
	r, err := l.acquire(ctx, key)
	if err != nil {
		return nil, err
	}
	handOver.put(r)
	return r, nil
}

func (l *Locker) acquire(ctx context.Context, key string) (*run, error) {
	p, err := l.plan(ctx, key)
	if p.book != nil && p.book.backlog != nil {
		return l.inTurn(ctx, key, p, err)
	}
	if err != nil {
		return nil, err
	}
	if p.tick.IsZero() {
		return l.lockOnly(ctx, key, p)
	}
	m, err := l.locker.NewJob(key, l.of(key, p.spacing)...)
	if err != nil {
		return nil, err
	}
	lease, err := m.Claim(ctx, p.tick)
	return &run{job: ctx, lease: lease}, err
}

// lockOnly is for runs that no tick is due for.
func (l *Locker) lockOnly(ctx context.Context, key string, p plan) (*run, error) {
	if err := l.admitRunNow(p.book); err != nil {
		return nil, err
	}
	var opts []redlock.MutexOption
	for _, o := range l.of(key, p.spacing) {
		if o, ok := o.(redlock.MutexOption); ok {
			opts = append(opts, o)
		}
	}
	m, err := l.locker.NewMutex(key, opts...)
	if err != nil {
		return nil, err
	}
	lease, err := m.TryLock(ctx)
	return &run{job: ctx, lease: lease}, err
}

// run is one run of a job: what gocron unlocks when it is over.
type run struct {
	job   context.Context // names the job that holds the lease; nothing is derived from it here
	lease *redlock.Lease
	over  func(unlocked error) // nil unless the job's ticks are taken over
}

// Unlock is called by gocron when the run is over, with a context that
// Shutdown and RemoveJob have already cancelled.
func (r *run) Unlock(ctx context.Context) error {
	handOver.drop(r)
	err := r.lease.Unlock(ctx)
	if r.over != nil {
		r.over(err)
	}
	return err
}
