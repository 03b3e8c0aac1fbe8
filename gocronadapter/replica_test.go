package gocronadapter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/jonboulle/clockwork"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// replica is one process of a service: its own links, locker and scheduler.
type replica struct {
	gocron.Scheduler
	locker   linked
	adapter  *busy
	shutdown func() error
}

// Shutdown asks gocron once. gocron 2.21.2 answers a moment before it notes that
// it has stopped, and a second Shutdown in that moment waits for 12 s, in vain.
func (r *replica) Shutdown() error { return r.shutdown() }

// linked is a Locker and its links to in-memory servers.
type linked struct {
	*redlock.Locker
	links []driver.Node
}

// busy counts the runs between Lock and Unlock, as a decorator may, and knows
// how long Lock has taken at most.
type busy struct {
	*gocronadapter.Locker
	runs    atomic.Int32
	calls   atomic.Int32
	longest atomic.Int64
	before  atomic.Pointer[func()] // called first, if there is any
}

type busyLock struct {
	gocron.Lock
	runs *atomic.Int32
}

func (b *busy) Lock(ctx context.Context, key string) (gocron.Lock, error) {
	b.runs.Add(1)
	b.calls.Add(1)
	if f := b.before.Load(); f != nil {
		(*f)()
	}
	begin := time.Now()
	lock, err := b.Locker.Lock(ctx, key)
	for took := int64(time.Since(begin)); took > b.longest.Load(); {
		b.longest.Store(took)
	}
	if err != nil {
		b.runs.Add(-1)
		return nil, err
	}
	return &busyLock{lock, &b.runs}, nil
}

func (l *busyLock) Unlock(ctx context.Context) error {
	defer l.runs.Add(-1)
	return l.Lock.Unlock(ctx)
}

// newReplica attaches a Locker to a plain gocron scheduler. Without a spread,
// runs begin exactly with their ticks.
func newReplica(t *testing.T, locker linked, c clockwork.Clock, opts ...gocron.SchedulerOption) *replica {
	t.Helper()
	adapter, err := gocronadapter.NewLocker(locker.Locker, gocronadapter.WithClock(c), gocronadapter.WithJobOptions(redlock.WithSpread(0)))
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{locker: locker, adapter: &busy{Locker: adapter}}
	opts = append(opts, gocron.WithClock(c), gocron.WithDistributedLocker(r.adapter))
	if r.Scheduler, err = gocron.NewScheduler(opts...); err != nil {
		t.Fatal(err)
	}
	r.shutdown = sync.OnceValue(r.Scheduler.Shutdown)
	if err := adapter.Attach(r.Scheduler); err != nil {
		t.Fatal(err)
	}
	return r
}

// cut hangs the replica's links to all nodes, or heals them.
func (r *replica) cut(off bool) {
	for _, n := range r.locker.links {
		if link := n.(*redlocktest.Node); off {
			link.Hang()
		} else {
			link.Heal()
		}
	}
}

// lockerOn makes a Locker over links to these servers. Links of one client need
// a name of their own.
func lockerOn(t *testing.T, servers []*redlocktest.Server, client string, opts ...redlock.LockerOption) linked {
	t.Helper()
	links := redlocktest.Nodes(servers, client)
	l, err := redlock.New(links, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return linked{l, links}
}

// newFleet makes n replicas over the same in-memory nodes, with these clocks.
func newFleet(t *testing.T, nodes int, ahead ...time.Duration) []*replica {
	t.Helper()
	servers := redlocktest.Servers(nodes)
	fleet := make([]*replica, len(ahead))
	for i, d := range ahead {
		fleet[i] = newReplica(t, lockerOn(t, servers, fmt.Sprint(i)), newClock(d))
	}
	return fleet
}

// newSchedulers makes one replica of NewScheduler for each clock, over three
// in-memory nodes. Their runs are not counted, so they leave by
// leaveAll.
func newSchedulers(t *testing.T, opts []gocronadapter.Option, ahead ...time.Duration) []*replica {
	t.Helper()
	servers := redlocktest.Servers(3)
	fleet := make([]*replica, len(ahead))
	for i, d := range ahead {
		fleet[i] = newSchedulerOn(t, lockerOn(t, servers, fmt.Sprint(i)), append(slices.Clip(opts), gocronadapter.WithClock(newClock(d)))...)
	}
	return fleet
}

func newSchedulerOn(t *testing.T, locker linked, opts ...gocronadapter.Option) *replica {
	t.Helper()
	s, err := gocronadapter.NewScheduler(locker.Locker, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return &replica{Scheduler: s, locker: locker, shutdown: sync.OnceValue(s.Shutdown)}
}

func (r *replica) job(t *testing.T, d gocron.JobDefinition, task gocron.Task, opts ...gocron.JobOption) gocron.Job {
	t.Helper()
	j, err := r.NewJob(d, task, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// leave shuts the replica down in a bubble. gocron's Shutdown spins until the
// last run is over, which in a bubble would be for ever.
func (r *replica) leave(t *testing.T) {
	t.Helper()
	for synctest.Wait(); r.adapter != nil && r.adapter.runs.Load() > 0; synctest.Wait() {
		time.Sleep(time.Millisecond)
	}
	if err := r.Shutdown(); err != nil {
		t.Error(err)
	}
	if err := r.locker.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// leaveAll ends a fleet of newSchedulers whose runs take no longer than a minute.
func leaveAll(t *testing.T, fleet []*replica) {
	t.Helper()
	for _, r := range fleet {
		for _, j := range r.Jobs() {
			if err := r.RemoveJob(j.ID()); err != nil {
				t.Error(err)
			}
		}
	}
	time.Sleep(time.Minute)
	for _, r := range fleet {
		r.leave(t)
	}
}

func newLocker(t *testing.T, opts ...gocronadapter.Option) *gocronadapter.Locker {
	t.Helper()
	l, err := gocronadapter.NewLocker(newRedlock(t), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newRedlock(t *testing.T, opts ...redlock.LockerOption) *redlock.Locker {
	t.Helper()
	return lockerOn(t, redlocktest.Servers(1), "a", opts...).Locker
}

func newGocron(t *testing.T, opts ...gocron.SchedulerOption) gocron.Scheduler {
	t.Helper()
	s, err := gocron.NewScheduler(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown() })
	return s
}

func newScheduler(t *testing.T, opts ...gocronadapter.Option) (*redlock.Locker, gocron.Scheduler) {
	t.Helper()
	locker := newRedlock(t)
	s, err := gocronadapter.NewScheduler(locker, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return locker, s
}

func closeAll(t *testing.T, locker *redlock.Locker, s gocron.Scheduler) {
	t.Helper()
	synctest.Wait()
	if err := errors.Join(s.Shutdown(), locker.Close(context.Background())); err != nil {
		t.Error(err)
	}
}
