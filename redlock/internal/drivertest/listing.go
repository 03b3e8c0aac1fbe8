//go:build unix

package drivertest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// TestListing lists the names and ticks of a Cluster of three masters. While one is
// dead, listing must fail, not return less. Once the replica has taken over, the
// list must be complete again.
func TestListing(t *testing.T, connect func(t testing.TB, addrs []string) driver.Node) {
	servers := redisserver.StartShards(t)
	nodes := []driver.Node{connect(t, servers.Addrs())}
	names := []string{"{a}held", "{a}ran", "{b}held", "{b}ran", "{c}held", "{c}ran"}
	claimAll(t, nodes, names)
	for _, key := range shards {
		command(t, servers.Master(key), "SET", "app:{"+key+"}other", "not a lock")
	}
	inspector, err := inspect.New(nodes, inspect.WithPrefix("app:"))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkList(t, inspector, names); err != nil {
		t.Error(err)
	}
	master := servers.Master("a")
	master.Pause()
	if found, _, err := inspector.Names(t.Context(), "", 100); !errors.Is(err, redlock.ErrNoQuorum) {
		t.Errorf("with a master that hangs: %v, %v; want an error, since names are missing", found, err)
	}
	awaitOwner(t, servers, master)
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = checkList(t, inspector, names); err == nil || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		t.Errorf("after the failover: %v", err)
	}
	if n := inspector.Nodes(t.Context())[0]; n.Err != nil || n.Masters != 3 || n.Replicas != 2 {
		t.Errorf("with one replica fewer: %d masters, %d replicas (%v)", n.Masters, n.Replicas, n.Err)
	}
}

// claimAll claims two ticks of each name, and keeps the locks of some.
func claimAll(t *testing.T, nodes []driver.Node, names []string) {
	t.Helper()
	locker, err := redlock.New(nodes, redlock.WithPrefix("app:"))
	if err != nil {
		t.Fatal(err)
	}
	defer locker.Close(t.Context())
	now := time.Now().Truncate(time.Second)
	for i, name := range names {
		job, err := locker.NewJob(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, tick := range []time.Time{now.Add(-time.Second), now} {
			lease, err := job.Claim(t.Context(), tick)
			if err != nil {
				t.Fatal(err)
			}
			if i%2 == 1 || !tick.Equal(now) {
				if err := lease.Unlock(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// checkList returns an error if the list is incomplete.
func checkList(t *testing.T, inspector *inspect.Inspector, names []string) error {
	t.Helper()
	found, more, err := inspector.Names(t.Context(), "", 100)
	if err != nil || more || fmt.Sprint(found) != fmt.Sprint(names) {
		return fmt.Errorf("names %v, more: %v (%w); want %v", found, more, err, names)
	}
	if found, more, err = inspector.Jobs(t.Context(), "", 100); err != nil || more || fmt.Sprint(found) != fmt.Sprint(names) {
		return fmt.Errorf("jobs %v, more: %v (%w); want %v", found, more, err, names)
	}
	return nil
}
