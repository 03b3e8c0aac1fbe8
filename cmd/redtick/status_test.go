//go:build unix

package main_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

type statusJSON struct {
	Quorum      int      `json:"quorum"`
	Reachable   int      `json:"reachable"`
	Voting      int      `json:"voting"`
	HasQuorum   bool     `json:"has_quorum"`
	ClockSpread *float64 `json:"clock_spread_ms"`
	Survives    int      `json:"survives"`
	Nodes       []struct {
		Name            string  `json:"name"`
		OK              bool    `json:"ok"`
		Votes           bool    `json:"votes"`
		Error           string  `json:"error"`
		RoundTrip       float64 `json:"round_trip_ms"`
		ClockOffset     float64 `json:"clock_offset_ms"`
		Server          string  `json:"server"`
		Version         string  `json:"version"`
		Topology        string  `json:"topology"`
		Masters         int     `json:"masters"`
		Replicas        int     `json:"replicas"`
		RunID           string  `json:"run_id"`
		Role            string  `json:"role"`
		Persistence     string  `json:"persistence"`
		MaxMemoryPolicy string  `json:"maxmemory_policy"`
	} `json:"nodes"`
	Warnings []struct {
		Code  string   `json:"code"`
		Nodes []string `json:"nodes"`
		Text  string   `json:"text"`
	} `json:"warnings"`
}

func (s *statusJSON) codes() (codes []string) {
	for _, w := range s.Warnings {
		codes = append(codes, w.Code)
	}
	return codes
}

var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// Seen to fail when
//   - the time to call a node out is longer than the inspector's (it is waited for twice);
//   - the client gives up as soon as the inspector does (status takes more than 2 s);
//   - look asks once (a silent node is not told as such);
//   - newReport counts all nodes as reachable;
//   - verdict ignores the warnings.
func TestStatus_node_stopped(t *testing.T) {
	servers := []*redisserver.Server{redisserver.Start(t, durable...), redisserver.Start(t, durable...), redisserver.Start(t, durable...)}
	if o := redtick(t, addrs(servers...), "status"); o.code != 0 || strings.Contains(o.stdout, "warning") {
		t.Errorf("all is well, but exit code %d:\n%s", o.code, o.all())
	}
	servers[1].Pause()
	begin := time.Now()
	o := redtick(t, addrs(servers...), "status")
	if took := time.Since(begin); took > 2*time.Second || o.code != 1 {
		t.Errorf("one stopped: exit code %d after %v, want 1 within 2 s", o.code, took)
	}
	has(t, o.stdout, servers[1].Addr()+" is out: no answer within 1s; it hangs, a firewall drops what is sent to it, or rediss:// is written for a port without TLS: try redis-cli -h HOST ping; until then no other node may fail", "2 of 3 nodes answer, 2 needed: locks can be acquired")
	servers[0].Kill()
	begin = time.Now()
	o = redtick(t, addrs(servers...), "status", "-o", "json")
	if took := time.Since(begin); took > 2*time.Second || o.code != 2 {
		t.Errorf("one stopped, one killed: exit code %d after %v, want 2 within 2 s", o.code, took)
	}
	s := decode[statusJSON](t, o.stdout)
	if s.Quorum != 2 || s.Reachable != 1 || s.HasQuorum || s.ClockSpread != nil || s.Nodes[0].OK || s.Nodes[1].OK || !s.Nodes[2].OK {
		t.Errorf("got %+v", s)
	}
	if n := s.Nodes[2]; n.Role != "primary" || n.Persistence != "aof always" || n.MaxMemoryPolicy != "noeviction" || n.RunID == "" || n.Version == "" || n.RoundTrip <= 0 {
		t.Errorf("the node that is well: %+v", n)
	}
	has(t, s.Nodes[0].Error, "connection refused")
}

// Seen to fail when the rule of any one case is taken out of warning.go.
func TestStatus_warnings(t *testing.T) {
	a, b := redisserver.Start(t, durable...), redisserver.Start(t, durable...)
	replica := redisserver.Start(t, append(durable, "--replicaof", "127.0.0.1", strconv.Itoa(a.Port()))...)
	other := miniredis.RunT(t)
	other.SetTime(time.Now().Add(time.Hour))
	for _, c := range []struct {
		name, addrs string
		want        []string
	}{
		{"none", a.Addr(), nil},
		{"even", addrs(a, b), []string{"even-nodes"}},
		{"same server", addrs(a, b) + ",localhost:" + strconv.Itoa(a.Port()), []string{"same-server"}},
		{"replica", addrs(a, b, replica), []string{"replica"}},
		{"full", addrs(a, b, redisserver.Start(t, append(durable, "--maxmemory", "1")...)), []string{"no-vote"}},
		{"no log", redisserver.Start(t).Addr(), []string{"persistence"}},
		{"log every second", redisserver.Start(t, "--appendonly", "yes").Addr(), []string{"persistence"}},
		{"eviction", redisserver.Start(t, append(durable, "--maxmemory-policy", "allkeys-lru")...).Addr(), []string{"maxmemory-policy"}},
		{"clock an hour ahead, tells little", addrs(a, b) + "," + other.Addr(), []string{"unknown", "clocks"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := redtick(t, c.addrs, "status", "-o", "json")
			s := decode[statusJSON](t, o.stdout)
			if !slices.Equal(s.codes(), c.want) || o.code != min(len(c.want), 1) {
				t.Errorf("exit code %d, warnings %+v, want %v", o.code, s.Warnings, c.want)
			}
		})
	}
}
