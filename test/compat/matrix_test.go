//go:build unix

package compat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// feature is a column of the matrix.
type feature struct {
	name string
	try  func(ctx context.Context, r rig) error
	not  string // the topology that it is documented not to be for
}

// rig has two replicas on one node, each with its own client.
type rig struct {
	nodes    [2]driver.Node
	prefix   string
	one, two *redlock.Locker
}

var features = []feature{
	{"lock", lockers(tryLock), ""},
	{"wake-up", lockers(tryWakeUp), ""},
	{"claim", lockers(tryClaim), ""},
	{"fence", lockers(tryFence), ""},
	{"take-over", lockers(tryTakeover), ""},
	{"guard", tryGuard, cluster},
	{"inspect", tryInspect, ""},
}

func lockers(try func(ctx context.Context, one, two *redlock.Locker) error) func(ctx context.Context, r rig) error {
	return func(ctx context.Context, r rig) error { return try(ctx, r.one, r.two) }
}

// TestMatrix tries every feature with every client, and prints what works.
func TestMatrix(t *testing.T) {
	var rows sync.Map
	t.Run("all", func(t *testing.T) {
		for i, topology := range []struct {
			name    string
			clients func(t *testing.T) map[string]connector
		}{
			{"one server", func(t *testing.T) map[string]connector { return single(redisserver.Start(t).Addr()) }},
			{watched, func(t *testing.T) map[string]connector { return sentinel(redisserver.StartSentinel(t)) }},
			{cluster, func(t *testing.T) map[string]connector { return sharded(redisserver.StartShards(t)) }},
		} {
			t.Run(topology.name, func(t *testing.T) {
				for client, connect := range topology.clients(t) {
					t.Run(client, func(t *testing.T) {
						t.Parallel()
						row := ""
						for _, f := range features {
							row += " " + tried(t, topology.name, client, connect, f) + " |"
						}
						rows.Store(fmt.Sprintf("%d| %s | %s |", i, topology.name, client), row)
					})
				}
			})
		}
	})
	var b strings.Builder
	b.WriteString("| Topology | Client |")
	for _, f := range features {
		b.WriteString(" " + f.name + " |")
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(features)) + "\n")
	for line := range strings.Lines(sorted(&rows)) {
		b.WriteString(line[1:])
	}
	fmt.Printf("\n%s\n%s\n", version(t), b.String())
}

func tried(t *testing.T, topology, client string, connect connector, f feature) string {
	if f.not == topology {
		return "no"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r := rig{prefix: client + ":" + f.name + ":"}
	var lockers [2]*redlock.Locker
	for i := range lockers {
		var err error
		r.nodes[i] = connect(t)
		lockers[i], err = redlock.New(r.nodes[i:i+1], redlock.WithPrefix(r.prefix), redlock.WithObserver(func(redlock.Event) {}))
		if err != nil {
			t.Fatal(err)
		}
		defer lockers[i].Close(ctx)
	}
	r.one, r.two = lockers[0], lockers[1]
	if err := f.try(ctx, r); err != nil {
		t.Errorf("%s on %s with %s: %v", f.name, topology, client, err)
		return "FAILED"
	}
	return "yes"
}

func want(what string, err, target error) error {
	if !errors.Is(err, target) {
		return fmt.Errorf("%s: %v, want %v", what, err, target)
	}
	return nil
}

func tryLock(ctx context.Context, one, two *redlock.Locker) error {
	mine, err := one.NewMutex("job")
	if err != nil {
		return err
	}
	theirs, err := two.NewMutex("job")
	if err != nil {
		return err
	}
	lease, err := mine.TryLock(ctx)
	if err != nil {
		return err
	}
	if _, err := theirs.TryLock(ctx); !errors.Is(err, redlock.ErrTaken) {
		return want("a second lock", err, redlock.ErrTaken)
	}
	if err := lease.Extend(ctx); err != nil {
		return err
	}
	return lease.Unlock(ctx)
}

// tryWakeUp checks that a release notice arrives: without it the waiter would retry
// after ten seconds.
func tryWakeUp(ctx context.Context, one, two *redlock.Locker) error {
	mine, err := one.NewMutex("job")
	if err != nil {
		return err
	}
	theirs, err := two.NewMutex("job", redlock.WithBackoff(func(int) time.Duration { return time.Minute }))
	if err != nil {
		return err
	}
	lease, err := mine.TryLock(ctx)
	if err != nil {
		return err
	}
	got := make(chan error, 1)
	go func() {
		next, err := theirs.Lock(ctx)
		if err == nil {
			err = next.Unlock(ctx)
		}
		got <- err
	}()
	time.Sleep(500 * time.Millisecond)
	if err := lease.Unlock(ctx); err != nil {
		return err
	}
	released := time.Now()
	if err := <-got; err != nil {
		return err
	}
	if took := time.Since(released); took > time.Second {
		return fmt.Errorf("handed over after %v", took)
	}
	return nil
}

func tryClaim(ctx context.Context, one, two *redlock.Locker) error {
	tick := time.Now().Truncate(time.Second)
	mine, err := one.NewJob("job")
	if err != nil {
		return err
	}
	theirs, err := two.NewJob("job")
	if err != nil {
		return err
	}
	lease, err := mine.Claim(ctx, tick)
	if err != nil {
		return err
	}
	if err := lease.Unlock(ctx); err != nil {
		return err
	}
	_, err = theirs.Claim(ctx, tick)
	return want("a second claim of one tick", err, redlock.ErrTickDone)
}

func tryFence(ctx context.Context, one, two *redlock.Locker) error {
	var last int64
	for _, l := range []*redlock.Locker{one, two, one} {
		m, err := l.NewMutex("job", redlock.WithFencing())
		if err != nil {
			return err
		}
		lease, err := m.TryLock(ctx)
		if err != nil {
			return err
		}
		if lease.Fence() <= last {
			return fmt.Errorf("fence %d after %d", lease.Fence(), last)
		}
		last = lease.Fence()
		if err := lease.Unlock(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tryTakeover makes the first holder vanish: its lease is not renewed.
func tryTakeover(ctx context.Context, one, two *redlock.Locker) error {
	options := []redlock.JobOption{redlock.WithTakeover(), redlock.WithTTL(time.Second), redlock.WithoutRenewal()}
	tick := time.Now().Truncate(time.Second)
	mine, err := one.NewJob("job", options...)
	if err != nil {
		return err
	}
	theirs, err := two.NewJob("job", options...)
	if err != nil {
		return err
	}
	if _, err := mine.Claim(ctx, tick); err != nil {
		return err
	}
	lease, err := theirs.Await(ctx, tick)
	if err != nil {
		return err
	}
	if err := lease.Unlock(ctx); err != nil {
		return err
	}
	_, err = mine.Claim(ctx, tick)
	return want("a tick that was taken over and done", err, redlock.ErrTickDone)
}

// guards is held while a server's guard key, which the clients share, is deleted.
var guards sync.Mutex

// tryGuard checks that a node without data abstains, and votes once the longest TTL has passed.
func tryGuard(ctx context.Context, r rig) error {
	guards.Lock()
	defer guards.Unlock()
	const longest = 2 * time.Second
	locker, err := redlock.New(r.nodes[:1], redlock.WithPrefix(r.prefix), redlock.WithRestartGuard(longest), redlock.WithTTL(longest),
		redlock.WithObserver(func(redlock.Event) {}))
	if err != nil {
		return err
	}
	defer locker.Close(ctx)
	guarded, err := locker.NewMutex("job")
	if err != nil {
		return err
	}
	r.nodes[0].Do(ctx, []driver.Command{{"DEL", "redtick:guard"}})
	if _, err := guarded.TryLock(ctx); !errors.Is(err, redlock.ErrNodeYoung) {
		return want("a lock on a node that remembers nothing", err, redlock.ErrNodeYoung)
	}
	time.Sleep(longest + 200*time.Millisecond)
	lease, err := guarded.TryLock(ctx)
	if err != nil {
		return err
	}
	return lease.Unlock(ctx)
}

// tryInspect lists names of every shard of a Cluster, and releases one.
func tryInspect(ctx context.Context, r rig) error {
	var lease *redlock.Lease
	for _, name := range jobs {
		m, err := r.one.NewMutex(name)
		if err != nil {
			return err
		}
		if lease, err = m.TryLock(ctx); err != nil {
			return err
		}
	}
	inspector, err := inspect.New(r.nodes[1:], inspect.WithPrefix(r.prefix))
	if err != nil {
		return err
	}
	if names, more, err := inspector.Names(ctx, "", 100); err != nil || more || !slices.Equal(names, jobs) {
		return fmt.Errorf("names %v, more: %v (%w), want %v", names, more, err, jobs)
	}
	last := jobs[len(jobs)-1]
	if info, err := inspector.Show(ctx, last); err != nil || info.Token != lease.Token() {
		return fmt.Errorf("shown: %v (%w), want %s", info, err, lease.Token())
	}
	if err := inspector.Release(ctx, last, lease.Token()); err != nil {
		return err
	}
	return want("an extension after the release", lease.Extend(ctx), redlock.ErrLost)
}
