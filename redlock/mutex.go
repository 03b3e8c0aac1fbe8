package redlock

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Mutex is a named, immutable description of a lock: a name and options. It
// holds no state of an acquisition, so any number of goroutines may share it,
// and two Mutexes of one name exclude each other.
type Mutex struct{ t *target }

// Name returns the mutex's name, with the prefix: the lock's key in Redis.
func (m *Mutex) Name() string { return m.t.name.Lock }

// TryLock returns a lease without waiting for another owner's to end. Its error
// matches [ErrTaken] as soon as a majority of the nodes is known to be another
// owner's. When a split vote leaves the name to nobody, TryLock votes again for up
// to four times the node timeout. On an error nothing is held; votes already won
// are released in the background.
func (m *Mutex) TryLock(ctx context.Context) (*Lease, error) {
	m.t.locker.beginCall()
	defer m.t.locker.endCall()
	return m.t.acquire(ctx, &acquisition{op: "trylock", begin: time.Now()})
}

// Lock returns a lease once it is granted. If ctx ends before, the error matches
// ctx.Err() and, if the nodes were asked, the reason it was still waiting: of the
// waiters of one name in a process, only the first asks. They are served in order
// of arrival, and nearly so between processes. Lock does not wait for what cannot
// change by itself, such as a missing permission.
func (m *Mutex) Lock(ctx context.Context) (*Lease, error) {
	return m.t.await(ctx, &acquisition{op: "lock", begin: time.Now()})
}

// Do waits for the lock, runs f with a context that ends when ctx ends or the
// lease is lost, and unlocks, even when f panics. It returns f's error joined
// with the unlock's. errors.Is(err, ErrLost) then reports that f may have run
// without protection towards its end.
func (m *Mutex) Do(ctx context.Context, f func(ctx context.Context) error) error {
	lease, err := m.Lock(ctx)
	if err != nil {
		return err
	}
	return lease.doAndUnlock(ctx, f)
}

// Holder returns the token of the lease that holds the name on a majority of the
// nodes, or "" when none does. [HolderOf] makes it readable. If the key holds data
// that is not a lock, the error matches [ErrTaken].
func (m *Mutex) Holder(ctx context.Context) (token string, err error) {
	tally, err := m.t.ask(ctx, "holder", 0, m.t.name.Look(0, "", ""))
	if err != nil {
		return "", err
	}
	leader, _ := tally.Leader()
	if leader.Token == protocol.Foreign {
		return "", m.t.fail("holder", 0, &tally, ErrTaken)
	}
	return leader.Token, nil
}
