//go:build unix

package compat_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// feature is a column of the matrix.
type feature struct {
	name string
	try  func(ctx context.Context, one, two *redlock.Locker) error
}

var features = []feature{
	{"lock", tryLock},
	{"wake-up", tryWakeUp},
	{"claim", tryClaim},
	{"fence", tryFence},
	{"take-over", tryTakeover},
}

// TestMatrix tries every feature with every client, and prints what works.
func TestMatrix(t *testing.T) {
	var b strings.Builder
	b.WriteString("| Topology | Client |")
	for _, f := range features {
		b.WriteString(" " + f.name + " |")
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(features)) + "\n")
	for _, topology := range []struct {
		name    string
		clients func() map[string]connector
	}{
		{"one server", func() map[string]connector { return single(redisserver.Start(t).Addr()) }},
		{watched, func() map[string]connector { return sentinel(redisserver.StartSentinel(t)) }},
		{cluster, func() map[string]connector { return sharded(redisserver.StartShards(t)) }},
	} {
		clients := topology.clients()
		for _, client := range slices.Sorted(maps.Keys(clients)) {
			fmt.Fprintf(&b, "| %s | %s |", topology.name, client)
			for _, f := range features {
				b.WriteString(" " + tried(t, topology.name, client, clients[client], f) + " |")
			}
			b.WriteString("\n")
		}
	}
	fmt.Printf("\n%s\n%s\n", version(t), b.String())
}

func tried(t *testing.T, topology, client string, connect connector, f feature) string {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var lockers []*redlock.Locker
	for range 2 {
		locker, err := redlock.New([]driver.Node{connect(t)}, redlock.WithPrefix(client+":"+f.name+":"), redlock.WithObserver(func(redlock.Event) {}))
		if err != nil {
			t.Fatal(err)
		}
		defer locker.Close(ctx)
		lockers = append(lockers, locker)
	}
	if err := f.try(ctx, lockers[0], lockers[1]); err != nil {
		t.Errorf("%s on %s with %s: %v", f.name, topology, client, err)
		return "no"
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

// tryWakeUp needs a notice: without one the waiter would ask after ten seconds.
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

// tryTakeover has the first holder vanish: its lease is not renewed.
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
