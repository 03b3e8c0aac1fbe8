package main

import (
	"fmt"
	"strings"
	"time"
)

// farApart is the difference of clocks that is a warning. It does not affect locks.
// But claims compare ticks with the nodes' clocks, and a lost fence counter restarts
// at the node's clock.
const farApart = time.Second

// warning is something that weakens the vote. Nodes are those it concerns.
type warning struct {
	Code  string   `json:"code"`
	Nodes []string `json:"nodes"`
	Text  string   `json:"text"`
}

// warnings returns the warnings of a report. It is never nil, so that JSON has a list.
func warnings(r *statusReport) []warning {
	all := []warning{}
	for _, n := range r.Nodes {
		if !n.OK {
			all = append(all, warning{"node-out", []string{n.Name}, fmt.Sprintf("%s is out: %s; %s", n.Name, outBecause(n.info.Err), r.spare())})
		}
		if n.refusal != nil {
			all = append(all, warning{"no-vote", []string{n.Name}, fmt.Sprintf("%s answers but would not vote: %s; %s", n.Name, outBecause(n.refusal), r.spare())})
		}
	}
	if n := len(r.Nodes); n%2 == 0 {
		all = append(all, warning{"even-nodes", []string{}, fmt.Sprintf(
			"%d nodes survive the failure of %d, the same as %d; use an odd number", n, (n-1)/2, n-1)})
	}
	all = append(all, sameServers(r.Nodes)...)
	all = append(all, settings(r.Nodes)...)
	if r.spread-r.doubt > farApart {
		all = append(all, warning{"clocks", []string{}, fmt.Sprintf(
			"the nodes' clocks are %s apart, should be within %v; run NTP on them", rounded(r.spread), farApart)})
	}
	return all
}

// spare says how many more nodes may fail, given those that are out.
func (r *statusReport) spare() string {
	switch more := r.Voting - r.Quorum; {
	case more < 0:
		return fmt.Sprintf("%d of %d are needed", r.Quorum, len(r.Nodes))
	case more == 0:
		return "until then no other node may fail"
	default:
		return fmt.Sprintf("until then no more than %d other nodes may fail", more)
	}
}

func sameServers(nodes []nodeView) (all []warning) {
	first := map[string]string{}
	for _, n := range nodes {
		if n.RunID == "" {
			continue
		}
		if other, ok := first[n.RunID]; ok {
			all = append(all, warning{"same-server", []string{other, n.Name}, fmt.Sprintf(
				"%s and %s are the same server, with two votes; every node must be a server of its own", other, n.Name)})
			continue
		}
		first[n.RunID] = n.Name
	}
	return all
}

// settings returns the warnings about single nodes, one for each kind.
func settings(nodes []nodeView) (all []warning) {
	for _, rule := range []struct {
		code, text string
		broken     func(nodeView) bool
	}{
		{"replica", "a replica cannot vote; give the address of its primary, or of another server",
			func(n nodeView) bool { return n.Role == "replica" }},
		{"cluster-member", "a member of a Redis Cluster has only a part of the names and refuses the others with MOVED; give the Cluster as one node, redis-cluster://host,host/",
			func(n nodeView) bool { return n.isMember() }},
		{"persistence", "forgets votes when it restarts; set appendonly yes and appendfsync always, or use WithRestartGuard in the services",
			func(n nodeView) bool {
				return n.Persistence != "" && n.Persistence != "aof" && n.Persistence != "aof always"
			}},
		{"maxmemory-policy", "may evict votes when its memory is full; set maxmemory-policy noeviction",
			func(n nodeView) bool { return n.MaxMemoryPolicy != "" && n.MaxMemoryPolicy != "noeviction" }},
		{"unknown", "does not report all of role, persistence, appendfsync and maxmemory-policy; allow INFO and CONFIG GET, or check them yourself",
			func(n nodeView) bool {
				return n.Role == "" || n.Persistence == "" || n.Persistence == "aof" || n.MaxMemoryPolicy == ""
			}},
	} {
		var names []string
		for _, n := range nodes {
			if n.OK && rule.broken(n) {
				names = append(names, n.Name)
			}
		}
		if len(names) > 0 {
			all = append(all, warning{rule.code, names, strings.Join(names, ", ") + ": " + rule.text})
		}
	}
	return all
}
