//go:build unix

package redisserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// SentinelMaster is the name of the master that the Sentinels of StartSentinel
// watch.
const SentinelMaster = "mymaster"

// sentinelDown is after how long Sentinels consider a silent master dead.
const sentinelDown = time.Second

// Sentinel is a master with a replica, watched by three Sentinels that
// promote the replica when the master has been silent for a second.
type Sentinel struct {
	Master, Replica *Server // the roles at the start
	Sentinels       []*Server
}

// StartSentinel runs a Sentinel group, and returns when all Sentinels know the
// replica and one another.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	g := &Sentinel{Master: Start(t)}
	g.Replica = Start(t, "--replicaof", "127.0.0.1", strconv.Itoa(g.Master.Port()), "--repl-diskless-sync-delay", "0")
	for range 3 {
		g.Sentinels = append(g.Sentinels, startSentinel(t, g.Master.Port()))
	}
	await(t, "the Sentinels", func() error { return g.known() })
	return g
}

// Addrs returns the addresses of the Sentinels.
func (g *Sentinel) Addrs() []string {
	addrs := make([]string, len(g.Sentinels))
	for i, s := range g.Sentinels {
		addrs[i] = s.Addr()
	}
	return addrs
}

// Failover promotes the replica while the master is up.
func (g *Sentinel) Failover() error {
	_, err := g.Sentinels[0].Do("SENTINEL", "FAILOVER", SentinelMaster)
	return err
}

// Switched reports whether every Sentinel reports the replica as the master, and
// the replica accepts writes.
func (g *Sentinel) Switched() bool {
	for _, s := range g.Sentinels {
		addr, err := s.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SentinelMaster)
		if parts, ok := addr.([]any); err != nil || !ok || len(parts) != 2 || parts[1] != strconv.Itoa(g.Replica.Port()) {
			return false
		}
	}
	_, err := g.Replica.Do("SET", "redisserver:probe", "1", "PX", "1000")
	return err == nil
}

func (g *Sentinel) known() error {
	if err := g.Master.followedBy(g.Replica, "redisserver:probe"); err != nil {
		return err
	}
	for _, s := range g.Sentinels {
		for what, want := range map[string]int{"REPLICAS": 1, "SENTINELS": 2} {
			found, err := s.Do("SENTINEL", what, SentinelMaster)
			if list, _ := found.([]any); err != nil || len(list) != want {
				return fmt.Errorf("SENTINEL %s: %d of %d (%v)", what, len(list), want, err)
			}
		}
	}
	return nil
}

func startSentinel(t testing.TB, master int) *Server {
	t.Helper()
	s := &Server{t: t, binary: find(t), dir: t.TempDir(), sentinel: true}
	file := filepath.Join(s.dir, "sentinel.conf")
	config := fmt.Sprintf("bind 127.0.0.1\ndir %q\n"+
		"sentinel monitor %[2]s 127.0.0.1 %[3]d 2\n"+
		"sentinel down-after-milliseconds %[2]s %[4]d\n"+
		"sentinel failover-timeout %[2]s 10000\n", s.dir, SentinelMaster, master, sentinelDown.Milliseconds())
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatalf("redisserver: %v", err)
	}
	s.args = []string{file, "--sentinel"}
	t.Cleanup(s.Kill)
	s.startAnywhere()
	return s
}
