//go:build unix

package compat_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredislib "github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

const (
	endpoint = "one server behind a name"
	watched  = "Sentinel"
	cluster  = "Cluster"

	warmUp   = 3 * time.Second
	coolDown = 4 * time.Second
	// longest is how long servers may take to fail over.
	longest = 30 * time.Second
	// goal is how long after its servers a client may take to recover. Measured with one
	// tick a second, one period is added.
	goal = time.Second
	// patience is how long after that the trial waits for a client. In a short run, which
	// may be on a slow, busy machine, it is also the goal.
	patience = 15 * time.Second
)

var quick = os.Getenv("REDTICK_QUICK") == "1"

// trial is one fault that affects all clients at the same time.
type trial struct {
	topology, fault string
	quick           bool // part of the short run
	run             func(t *testing.T) stage
}

// stage is a prepared trial.
type stage struct {
	clients map[string]connector
	plain   replica
	fail    func() error
	well    func() bool
	spared  func(job string) bool // nil: none
}

var trials = []trial{
	{endpoint, "the primary is demoted, the name moves", true, moved},
	{endpoint, "connections are dropped silently", false, silent},
	{endpoint, "kill -9, started again a second later", false, restarted},
	{watched, "kill -9 of the master", true, onSentinel(func(g *redisserver.Sentinel) error { g.Master.Kill(); return nil })},
	{watched, "SIGSTOP of the master", false, onSentinel(func(g *redisserver.Sentinel) error { g.Master.Pause(); return nil })},
	{watched, "failover by hand", false, onSentinel(func(g *redisserver.Sentinel) error { return g.Failover() })},
	{cluster, "kill -9 of a master", true, onCluster(func(_ *redisserver.Shards, m *redisserver.Server) error { m.Kill(); return nil })},
	{cluster, "SIGSTOP of a master", false, onCluster(func(_ *redisserver.Shards, m *redisserver.Server) error { m.Pause(); return nil })},
	{cluster, "failover by hand", false, onCluster(func(c *redisserver.Shards, _ *redisserver.Server) error { return c.Failover(hit) })},
	{cluster, "a slot migrates", false, migrating},
}

// quiet keeps go-redis from logging the failed dials that the trials cause.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	goredislib.SetLogger(quiet{})
	os.Exit(m.Run())
}

func TestFleet(t *testing.T) {
	var outcomes []outcome
	for _, tr := range trials {
		if quick && !tr.quick {
			continue
		}
		t.Run(strings.ReplaceAll(tr.topology+": "+tr.fault, " ", "_"), func(t *testing.T) {
			outcomes = append(outcomes, play(t, tr)...)
		})
	}
	fmt.Printf("\n%s\n%s\n", version(t), table(outcomes))
}

func play(t *testing.T, tr trial) []outcome {
	s := tr.run(t)
	var fleets []*fleet
	for _, client := range slices.Sorted(maps.Keys(s.clients)) {
		fleets = append(fleets, startFleet(t, client, onNode(s.clients[client])))
	}
	ours := fleets
	fleets = append(fleets, startFleet(t, plain, s.plain))
	time.Sleep(warmUp)
	failed := time.Now()
	if err := s.fail(); err != nil {
		t.Fatal(err)
	}
	well := await(t, s.well)
	time.Sleep(coolDown)
	for end := time.Now().Add(patience); !recovered(ours, well) && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	end(fleets)
	var outcomes []outcome
	for _, f := range fleets {
		spared := func(string) bool { return false }
		if s.spared != nil {
			spared = s.spared
		}
		o := f.outcome(failed, well, spared)
		o.topology, o.fault = tr.topology, tr.fault
		judge(t, o)
		outcomes = append(outcomes, o)
	}
	return outcomes
}

func judge(t *testing.T, o outcome) {
	t.Helper()
	t.Logf("%s: %d of %d lost, servers well after %v, back after %v", o.client, o.lost, o.ticks,
		o.well.Round(time.Millisecond), o.back.Round(time.Millisecond))
	for _, reason := range slices.Sorted(maps.Keys(o.reasons)) {
		t.Logf("\t%d times %s", o.reasons[reason], reason)
	}
	if o.client != plain && o.twice > 0 {
		t.Errorf("%s: %d ticks ran twice", o.client, o.twice)
	}
	limit := o.well + goal + period
	if quick {
		limit = o.well + patience
	}
	if o.client != plain && o.lost > 0 && o.back > limit {
		t.Errorf("%s: all jobs were granted again after %v, want %v: %v after the servers, and up to a period for the next tick",
			o.client, o.back, limit, goal)
	}
}

func await(t *testing.T, well func() bool) time.Time {
	t.Helper()
	for end := time.Now().Add(longest); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if well() {
			return time.Now()
		}
	}
	t.Fatalf("the servers were not well again after %v", longest)
	return time.Time{}
}

func now() bool { return true }

func moved(t *testing.T) stage {
	old := redisserver.Start(t, "--repl-diskless-sync-delay", "0")
	promoted := redisserver.Start(t, "--replicaof", "127.0.0.1", strconv.Itoa(old.Port()))
	name := redisserver.Forward(t, old.Addr())
	await(t, func() bool {
		role, err := promoted.Do("ROLE")
		list, ok := role.([]any)
		return err == nil && ok && list[3] == "connected"
	})
	return stage{clients: single(name.Addr()), plain: plainSingle(name.Addr()), well: now, fail: func() error {
		if _, err := promoted.Do("REPLICAOF", "NO", "ONE"); err != nil {
			return err
		}
		name.Move(promoted.Addr())
		_, err := old.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(promoted.Port()))
		return err
	}}
}

func silent(t *testing.T) stage {
	name := redisserver.Forward(t, redisserver.Start(t).Addr())
	return stage{clients: single(name.Addr()), plain: plainSingle(name.Addr()), well: now, fail: func() error { name.Silence(); return nil }}
}

func restarted(t *testing.T) stage {
	server := redisserver.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	return stage{clients: single(server.Addr()), plain: plainSingle(server.Addr()), well: now, fail: func() error {
		server.Kill()
		time.Sleep(time.Second)
		server.Restart()
		return nil
	}}
}

func onSentinel(fail func(g *redisserver.Sentinel) error) func(t *testing.T) stage {
	return func(t *testing.T) stage {
		g := redisserver.StartSentinel(t)
		return stage{clients: sentinel(g), plain: plainSentinel(g), well: g.Switched, fail: func() error { return fail(g) }}
	}
}

// hit is on the shard that fails, as are two jobs of each client's.
const hit = "a"

func onCluster(fail func(c *redisserver.Shards, master *redisserver.Server) error) func(t *testing.T) stage {
	return func(t *testing.T) stage {
		c := redisserver.StartShards(t)
		master := c.Master(hit)
		return stage{
			clients: sharded(c),
			plain:   plainSharded(c),
			fail:    func() error { return fail(c, master) },
			well: func() bool {
				owner := c.MasterBut(master, hit)
				if owner == nil || owner == master {
					return false
				}
				_, err := owner.Do("SET", hit, "probe", "PX", "1000")
				return err == nil
			},
			spared: func(job string) bool { return !strings.HasPrefix(job, "{"+hit+"}") },
		}
	}
}

// migrating moves the slot of two jobs.
func migrating(t *testing.T) stage {
	c := redisserver.StartShards(t)
	return stage{clients: sharded(c), plain: plainSharded(c), well: now, fail: func() error { return c.Migrate(hit, c.Master("b")) }}
}

func version(t *testing.T) string {
	info, err := redisserver.Start(t).Do("INFO", "server")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, line := range strings.Split(info.(string), "\r\n") {
		key, value, _ := strings.Cut(line, ":")
		found[key] = value
	}
	if v := found["valkey_version"]; v != "" {
		return "Valkey " + v
	}
	return "Redis " + found["redis_version"]
}
