//go:build unix

package redisserver

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clusterNodeTimeout is after how long the members of StartShards consider a silent
// one dead.
const clusterNodeTimeout = 2 * time.Second

// StartCluster runs a Redis Cluster of one server that owns all slots. It behaves
// like a larger one, for example it refuses keys of different slots in one command,
// but it never redirects.
func StartCluster(t testing.TB) *Server {
	t.Helper()
	s := startMember(t)
	add := []string{"CLUSTER", "ADDSLOTS"}
	for slot := range 16384 {
		add = append(add, strconv.Itoa(slot))
	}
	if _, err := s.Do(add...); err != nil {
		t.Fatalf("redisserver: %v", err)
	}
	await(t, "the cluster", s.clusterOK)
	return s
}

// Shards is a Redis Cluster of three masters with a replica each.
type Shards struct {
	Servers []*Server

	cli string
}

// StartShards runs a Redis Cluster, and returns when all six servers agree on the
// layout.
func StartShards(t testing.TB) *Shards {
	t.Helper()
	c := &Shards{cli: findCLI(t)}
	for range 6 {
		c.Servers = append(c.Servers, startMember(t, "--cluster-node-timeout", strconv.FormatInt(clusterNodeTimeout.Milliseconds(), 10),
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"))
	}
	create := append([]string{"--cluster", "create"}, c.Addrs()...)
	if out, err := exec.Command(c.cli, append(create, "--cluster-replicas", "1", "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("redisserver: %s --cluster create: %v\n%s", c.cli, err, out)
	}
	for _, s := range c.Servers {
		await(t, "the cluster", s.clusterOK)
	}
	await(t, "the replicas", c.replicated)
	return c
}

// Addrs returns the addresses of the members.
func (c *Shards) Addrs() []string {
	addrs := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		addrs[i] = s.Addr()
	}
	return addrs
}

// Forward puts a Forwarder in front of each member, and makes the Cluster announce
// the forwarders' addresses. Methods that find a server by its port do not work
// afterwards.
func (c *Shards) Forward(t testing.TB) []*Forwarder {
	t.Helper()
	var all []*Forwarder
	for _, s := range c.Servers {
		f := Forward(t, s.Addr())
		_, port, _ := strings.Cut(f.Addr(), ":")
		if _, err := s.Do("CONFIG", "SET", "cluster-announce-port", port); err != nil {
			t.Fatalf("redisserver: %v", err)
		}
		all = append(all, f)
	}
	await(t, "the announced addresses", func() error { return c.announce(all) })
	return all
}

// announce returns an error while a member does not know every forwarder.
func (c *Shards) announce(all []*Forwarder) error {
	for _, s := range c.Servers {
		nodes, err := s.Do("CLUSTER", "NODES")
		text, _ := nodes.(string)
		for _, f := range all {
			if err != nil || !strings.Contains(text, f.Addr()+"@") {
				return fmt.Errorf("port %d does not know %s: %v", s.Port(), f.Addr(), err)
			}
		}
	}
	return nil
}

// Master returns the server that owns key according to the first server that
// answers, or nil if none does.
func (c *Shards) Master(key string) *Server {
	return c.owner(key, nil)
}

// MasterBut is like Master, but does not ask silent.
func (c *Shards) MasterBut(silent *Server, key string) *Server {
	return c.owner(key, silent)
}

func (c *Shards) owner(key string, silent *Server) *Server {
	for _, s := range c.Servers {
		if s == silent {
			continue
		}
		slot, err := s.Do("CLUSTER", "KEYSLOT", key)
		if err != nil {
			continue
		}
		ranges, err := s.Do("CLUSTER", "SLOTS")
		list, ok := ranges.([]any)
		if err != nil || !ok {
			continue
		}
		for _, r := range list {
			entry := r.([]any)
			if entry[0].(int64) <= slot.(int64) && slot.(int64) <= entry[1].(int64) {
				return c.byPort(entry[2].([]any)[1].(int64))
			}
		}
	}
	return nil
}

// Replica returns the server that replicates master.
func (c *Shards) Replica(master *Server) *Server {
	for _, s := range c.Servers {
		role, err := s.Do("ROLE")
		if r, ok := role.([]any); err == nil && ok && r[0] == "slave" && r[2] == int64(master.Port()) {
			return s
		}
	}
	return nil
}

// Failover makes the replica of key's master the master, while all servers are up,
// and returns when it is. It retries, because one attempt may time out.
func (c *Shards) Failover(key string) error {
	master := c.Master(key)
	replica := c.Replica(master)
	if replica == nil {
		return fmt.Errorf("the master of %q has no replica", key)
	}
	for range 5 {
		if _, err := replica.Do("CLUSTER", "FAILOVER"); err != nil {
			return err
		}
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if c.MasterBut(master, key) == replica {
				return nil
			}
		}
	}
	return fmt.Errorf("the replica of %q's master was not promoted", key)
}

// Migrate moves the slot of key, with its keys, to another master.
func (c *Shards) Migrate(key string, to *Server) error {
	from := c.Master(key)
	slot, err := from.Do("CLUSTER", "KEYSLOT", key)
	if err != nil {
		return err
	}
	number := strconv.FormatInt(slot.(int64), 10)
	ids := map[*Server]string{}
	for _, s := range []*Server{from, to} {
		id, err := s.Do("CLUSTER", "MYID")
		if err != nil {
			return err
		}
		ids[s] = id.(string)
	}
	if _, err := to.Do("CLUSTER", "SETSLOT", number, "IMPORTING", ids[from]); err != nil {
		return err
	}
	if _, err := from.Do("CLUSTER", "SETSLOT", number, "MIGRATING", ids[to]); err != nil {
		return err
	}
	if err := empty(from, to, number); err != nil {
		return err
	}
	for _, s := range []*Server{to, from} {
		if _, err := s.Do("CLUSTER", "SETSLOT", number, "NODE", ids[to]); err != nil {
			return err
		}
	}
	return nil
}

// empty moves a slot's keys one at a time, as redis-cli does, so that clients get
// ASK and TRYAGAIN.
func empty(from, to *Server, slot string) error {
	for {
		keys, err := from.Do("CLUSTER", "GETKEYSINSLOT", slot, "1")
		if err != nil {
			return err
		}
		list := keys.([]any)
		if len(list) == 0 {
			return nil
		}
		if _, err := from.Do("MIGRATE", "127.0.0.1", strconv.Itoa(to.Port()), list[0].(string), "0", "1000"); err != nil {
			return err
		}
	}
}

func (c *Shards) byPort(port int64) *Server {
	for _, s := range c.Servers {
		if int64(s.Port()) == port {
			return s
		}
	}
	return nil
}

// replicated returns an error if a master has no replica that follows its writes.
func (c *Shards) replicated() error {
	for _, key := range []string{"a", "b", "c"} { // one on each
		master := c.Master(key)
		if master == nil {
			return fmt.Errorf("nobody owns %q", key)
		}
		if err := master.followedBy(c.Replica(master), key); err != nil {
			return err
		}
	}
	return nil
}

// followedBy returns an error if replica does not follow the writes to s. A newly
// connected replica may lag until its first acknowledgement, up to a second later,
// and would be promoted without these writes.
func (s *Server) followedBy(replica *Server, key string) error {
	if replica == nil {
		return fmt.Errorf("port %d has no replica", s.Port())
	}
	if _, err := s.Do("SET", key, "probe"); err != nil {
		return err
	}
	if size, err := replica.Do("DBSIZE"); err != nil || size == int64(0) {
		return fmt.Errorf("port %d has nothing of port %d (%v)", replica.Port(), s.Port(), err)
	}
	_, err := s.Do("DEL", key)
	return err
}

func startMember(t testing.TB, args ...string) *Server {
	t.Helper()
	return Start(t, append([]string{"--cluster-enabled", "yes"}, args...)...)
}

func (s *Server) clusterOK() error {
	info, err := s.Do("CLUSTER", "INFO")
	if text, ok := info.(string); err != nil || !ok || !strings.Contains(text, "cluster_state:ok") {
		return fmt.Errorf("CLUSTER INFO on port %d: %v (%v)", s.Port(), info, err)
	}
	return nil
}

func await(t testing.TB, what string, ready func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = ready(); err == nil {
			return
		}
	}
	t.Fatalf("redisserver: %s did not come up in %v: %v", what, startLimit, err)
}

// findCLI looks for the CLI in the server's directory, then for redis-cli in the PATH.
func findCLI(t testing.TB) string {
	t.Helper()
	server := find(t)
	beside := filepath.Join(filepath.Dir(server), strings.Replace(filepath.Base(server), "-server", "-cli", 1))
	for _, name := range []string{beside, "redis-cli"} {
		if cli, err := exec.LookPath(name); err == nil {
			return cli
		}
	}
	t.Fatalf("redisserver: neither %s nor redis-cli can be run; install the package redis-tools (or valkey-tools)", beside)
	return ""
}
