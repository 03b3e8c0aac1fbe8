package redlock

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Mutex is a lock's name and options. It is immutable, so any number of goroutines
// may share it. Two calls of Lock exclude each other, even on one Mutex: what is held
// and unlocked is the [Lease].
type Mutex struct{ t target }

// Name returns the mutex's name with the prefix, which is the lock's key in Redis.
func (m *Mutex) Name() string { return m.t.name.Lock }

// TryLock returns a lease without waiting for another owner's to end. If another
// owner holds a majority of the nodes, the error matches [ErrTaken]. After a split
// vote, which gives nobody a majority, TryLock votes again for up to four times the
// node timeout. On an error nothing is held; votes already won are released in the
// background.
func (m *Mutex) TryLock(ctx context.Context) (*Lease, error) {
	m.t.locker.beginCall()
	defer m.t.locker.endCall()
	return m.t.acquire(ctx, &acquisition{op: "trylock", begin: time.Now()})
}

// Lock waits until a lease is granted, or ctx ends. Then the error matches ctx.Err()
// and, if this call has asked the nodes, the reason why it still waited: of the
// waiters for a name in a process only the first asks. Waiters are served in order
// of arrival within a process, and nearly so between processes. Lock does not wait
// for what cannot change by itself, such as a missing permission.
func (m *Mutex) Lock(ctx context.Context) (*Lease, error) {
	return m.t.await(ctx, &acquisition{op: "lock", begin: time.Now()})
}

// Do waits for the lock, runs f with a context that ends when ctx ends or the
// lease is lost, and unlocks, even if f panics. It returns f's error joined with
// the unlock's. If that matches [ErrLost], f may have ended without protection.
func (m *Mutex) Do(ctx context.Context, f func(ctx context.Context) error) error {
	lease, err := m.Lock(ctx)
	if err != nil {
		return err
	}
	return lease.doAndUnlock(ctx, f)
}

// Holder returns the token that a majority of the nodes holds for the name, or "" if
// there is none. [HolderOf] makes it readable. If the key holds data that is not a
// lock, the error matches [ErrTaken]. If no majority answers, or it depends on the
// nodes that do not answer whether a token has a majority, it matches [ErrNoQuorum].
func (m *Mutex) Holder(ctx context.Context) (token string, err error) {
	tally, err := m.t.ask(ctx, "holder", 0, m.t.name.Look(0, "", ""))
	if err != nil {
		return "", err
	}
	leader, _ := tally.Leader()
	switch {
	case leader.Token == protocol.Foreign:
		return "", m.t.fail("holder", 0, &tally, ErrTaken)
	case tally.MayLead():
		return "", m.t.fail("holder", 0, &tally, ErrNoQuorum)
	}
	return leader.Token, nil
}
