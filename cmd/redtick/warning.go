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

var topologies = map[kind]string{oneServer: "server", sentinelGroup: "sentinel", wholeCluster: "cluster"}

// topology describes the deployment behind a node, for the table.
func (n *nodeView) topology() string {
	switch {
	case n.kind == sentinelGroup:
		return "sentinel, " + count(n.Replicas, "replica")
	case n.kind == wholeCluster && n.Masters > 0:
		return fmt.Sprintf("cluster, %s, %s", count(n.Masters, "master"), count(n.Replicas, "replica"))
	case n.kind == wholeCluster:
		return "cluster"
	case n.isMember():
		return "member of a cluster"
	}
	return "server, " + count(n.Replicas, "replica")
}

// isMember reports whether the node is one server of a Cluster, which should be given as a whole.
func (n *nodeView) isMember() bool { return n.kind == oneServer && n.info.Mode == "cluster" }

// survives says how many failures leave a quorum.
func (r *statusReport) survives() string {
	switch n := len(r.Nodes); {
	case n == 1:
		return "a single node: " + r.Nodes[0].survives()
	case !r.HasQuorum:
		return fmt.Sprintf("of %d nodes that vote %d may fail", n, (n-1)/2)
	case r.Survives == 0:
		return fmt.Sprintf("none of the %d that vote may fail", r.Voting)
	default:
		return fmt.Sprintf("%d of the %d that vote may fail", r.Survives, r.Voting)
	}
}

// survives says what a failure does to the only node.
func (n *nodeView) survives() string {
	switch {
	case n.kind == oneServer || n.OK && n.Replicas == 0:
		return "no failure is survived"
	case n.kind == wholeCluster:
		return "the failure of a master stops its share of the names until its replica takes over; votes that had not reached the replica are forgotten"
	default:
		return "the failure of the master stops all names until a replica takes over; votes that had not reached the replica are forgotten"
	}
}
