//go:build unix

package drivertest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// shards has a key for each of three masters.
var shards = []string{"a", "b", "c"}

// TestCluster fails a master of a Cluster in several ways. A driver must find the
// new master a second after the servers have elected it. Meanwhile it must answer
// for the other shards, even in a batch with commands for the dead one.
func TestCluster(t *testing.T, connect func(t testing.TB, addrs []string) driver.Node) {
	for _, c := range []struct {
		name string
		fail func(c *redisserver.Shards, master *redisserver.Server) error
		// outage is whether the Cluster itself is without a master for a while.
		outage bool
	}{
		{"Kill", func(_ *redisserver.Shards, master *redisserver.Server) error { master.Kill(); return nil }, true},
		{"Stop", func(_ *redisserver.Shards, master *redisserver.Server) error { master.Pause(); return nil }, true},
		{"Failover", func(c *redisserver.Shards, _ *redisserver.Server) error { return c.Failover("a") }, false},
		{"Migrate", func(c *redisserver.Shards, _ *redisserver.Server) error { return c.Migrate("a", c.Master("b")) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			servers := redisserver.StartShards(t)
			node := connect(t, servers.Addrs())
			if failures, _ := untilWell(t, node, onAllShards()); len(failures) > 0 {
				t.Logf("connecting took more than one batch: %v", failures)
			}
			w := watch(t, node, servers.Master("c"))
			defer w.end()
			time.Sleep(300 * time.Millisecond)
			master := servers.Master("a")
			failed := time.Now()
			if err := c.fail(servers, master); err != nil {
				t.Fatal(err)
			}
			well := awaitOwner(t, servers, master)
			time.Sleep(2 * time.Second)
			w.check(t, failed, well, c.outage)
		})
	}
}

// TestLonelyShard stops all servers of a Cluster but one. That one must answer, even
// if the client queries a random server before its first single command.
func TestLonelyShard(t *testing.T, connect func(t testing.TB, addrs []string) driver.Node) {
	servers := redisserver.StartShards(t)
	node := connect(t, servers.Addrs())
	if failures, _ := untilWell(t, node, onAllShards()); len(failures) > 0 {
		t.Logf("connecting took more than one batch: %v", failures)
	}
	well := servers.Master("c")
	for _, s := range servers.Servers {
		if s != well {
			s.Pause()
		}
	}
	for range 3 {
		if err := firstError(send(t, node, []driver.Command{{"SET", "c", "v"}})); err != nil {
			t.Errorf("on the shard that is well: %v", err)
		}
	}
}

// TestManyNames stops one of three masters while hundreds of names are in use. Names
// on the other masters must go on, even if these stall for a moment as well, and no
// server may get a connection for each name.
func TestManyNames(t *testing.T, connect func(t testing.TB, addrs []string) driver.Node) {
	for name, stalled := range map[string][]string{"OneStops": nil, "AllStopTwoGoOn": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			servers := redisserver.StartShards(t)
			node := connect(t, servers.Addrs())
			master, well, dead := servers.Master("c"), servers.Master("a"), 0
			var others []*redisserver.Server // found while they answer
			for _, key := range stalled {
				others = append(others, servers.Master(key))
			}
			var batch []driver.Command
			for i := range 300 {
				key := strconv.Itoa(i)
				batch = append(batch, driver.Command{"SET", key, "v"})
				if servers.Master(key) == master {
					dead++
				}
			}
			untilWell(t, node, batch)
			master.Pause()
			for _, s := range others {
				s.Pause()
			}
			countFailed(t, node, batch)
			for _, s := range others {
				s.Resume()
			}
			untilFewFail(t, node, batch, dead, well)
			checkConnections(t, well)
		})
	}
}

func countFailed(t *testing.T, node driver.Node, batch []driver.Command) (n int) {
	for _, r := range send(t, node, batch) {
		if r.Err != nil {
			n++
		}
	}
	return n
}

// untilFewFail waits until, twice, hardly more commands fail than those for the dead shard.
func untilFewFail(t *testing.T, node driver.Node, batch []driver.Command, dead int, well *redisserver.Server) {
	last, start, stop := 0, time.Now(), make(chan struct{})
	defer close(stop)
	stalls := watchStalls(well, stop)
	for good := 0; good < 2; time.Sleep(10 * time.Millisecond) {
		if last = countFailed(t, node, batch); last <= dead+len(batch)/10 {
			good++
		}
		// A busy machine may take until the replica is promoted.
		if took := time.Since(start); took > back && !stalls.during(start, time.Now()) || took > 10*back {
			t.Fatalf("%d of %d fail, though only %d are on the shard that is dead", last, len(batch), dead)
		}
	}
}

func checkConnections(t *testing.T, well *redisserver.Server) {
	info, err := well.Do("INFO", "clients")
	_, after, _ := strings.Cut(fmt.Sprint(info), "connected_clients:")
	count, _, _ := strings.Cut(after, "\r")
	if n, _ := strconv.Atoi(count); err != nil || n > 100 {
		t.Errorf("%s connections to a master that is well (%v)", count, err)
	}
}

// TestSilentCluster makes black holes of the connections that stand to a
// Cluster, as checkSilent does for one server. A machine that is busy may make a
// driver late, so two rounds of six have to be good. A driver that keeps to dead
// connections fails them all.
func TestSilentCluster(t *testing.T, connect func(t testing.TB, addrs []string) driver.Node) {
	servers := redisserver.StartShards(t)
	names := servers.Forward(t)
	var addrs []string
	for _, f := range names {
		addrs = append(addrs, f.Addr())
	}
	node := connect(t, addrs)
	batch := []driver.Command{{"SET", "a", "v"}, {"SET", "b", "v"}, {"SET", "c", "v"}}
	var slow []string
	for round, good := 0, 0; good < 2; round++ {
		if round-good > 4 {
			t.Fatalf("in %d rounds of %d: %s", round-good, round, strings.Join(slow, "\n"))
		}
		fill(t, node, 4)
		// The client's own PING is under way when the connections go silent.
		for range 10 {
			untilWell(t, node, batch)
			time.Sleep(100 * time.Millisecond)
		}
		for _, f := range names {
			f.Silence()
		}
		time.Sleep(1500 * time.Millisecond)
		before := len(slow)
		for _, b := range [][]driver.Command{batch, batch[:1], batch[1:2], batch[2:]} {
			if failures, took := untilWell(t, node, b); took > nodeTimeout+late {
				slow = append(slow, fmt.Sprintf("%v: %d failures in %v: %.300v", b, len(failures), took, failures))
			}
		}
		if len(slow) == before {
			good++
		}
	}
}

// awaitOwner returns when another server owns the slot of "a" and accepts writes.
func awaitOwner(t *testing.T, servers *redisserver.Shards, old *redisserver.Server) time.Time {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		owner := servers.MasterBut(old, "a")
		if owner == nil || owner == old {
			continue
		}
		if _, err := owner.Do("SET", "a", "probe", "PX", "60000"); err == nil {
			return time.Now()
		}
	}
	t.Fatal("the servers did not fail over")
	return time.Time{}
}

func onAllShards() (batch []driver.Command) {
	for _, key := range shards {
		batch = append(batch, driver.Command{"SET", key, "v", "PX", "60000"})
	}
	return batch
}

// watcher repeats a batch that uses all shards.
type watcher struct {
	stop   chan struct{}
	done   sync.WaitGroup
	stalls *stalls

	mu       sync.Mutex
	failures map[string][]failure
	batches  int
	slow     [][2]time.Time // batches that took almost half of their time, or more
}

type failure struct {
	sent, at time.Time
	err      error
}

// watch starts a watcher. The server well must stay up.
func watch(t *testing.T, node driver.Node, well *redisserver.Server) *watcher {
	w := &watcher{stop: make(chan struct{}), failures: map[string][]failure{}}
	w.stalls = watchStalls(well, w.stop)
	w.done.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(50 * time.Millisecond):
				w.ask(t, node)
			}
		}
	})
	return w
}

func (w *watcher) ask(t *testing.T, node driver.Node) {
	sent := time.Now()
	replies := send(t, node, onAllShards())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches++
	if time.Since(sent) > 2*nodeTimeout/5 {
		w.slow = append(w.slow, [2]time.Time{sent, time.Now()})
	}
	for i, r := range replies {
		if r.Err != nil {
			w.failures[shards[i]] = append(w.failures[shards[i]], failure{sent, time.Now(), r.Err})
		}
	}
}

func (w *watcher) end() {
	close(w.stop)
	w.done.Wait()
}

func (w *watcher) check(t *testing.T, failed, well time.Time, outage bool) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	last := failed
	for key, failures := range w.failures {
		for _, f := range failures {
			last = later(last, f.at)
			switch {
			case key != "a" && w.stalls.during(f.sent, f.at):
				t.Logf("%s failed while the machine stalled: %v", key, f.err)
			case f.sent.Before(failed) && f.at.Before(failed):
				t.Errorf("%s failed before anything happened: %v", key, f.err)
			case key != "a" && strings.HasPrefix(f.err.Error(), "CLUSTERDOWN "):
				// A Cluster refuses writes while a slot has no owner.
			case key != "a":
				t.Errorf("%s, on a shard that is well, failed %v after the fault: %v", key, f.at.Sub(failed), f.err)
			case f.sent.After(well.Add(back)):
				t.Errorf("a failed %v after the servers were well: %v", f.at.Sub(well), f.err)
			}
		}
	}
	// During a requested failover the old master makes its clients wait.
	if n := len(w.failures["a"]); outage && n == 0 || !outage && n > 0 && well.Sub(failed) < nodeTimeout/2 {
		t.Errorf("%d failures on the shard that failed", n)
	}
	// One finds out. Another may be sent to a shard that is just being replaced.
	slow := slices.DeleteFunc(w.slow, func(s [2]time.Time) bool { return w.stalls.during(s[0], s[1]) })
	if len(slow) > 4 {
		t.Errorf("%d batches waited for the shard that failed", len(slow))
	}
	t.Logf("servers well after %v, client %v later; %d of %d batches failed in part, %d were slow",
		well.Sub(failed).Round(time.Millisecond), max(last.Sub(well), 0).Round(time.Millisecond), len(w.failures["a"]), w.batches, len(slow))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
