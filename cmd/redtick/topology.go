package main

import "fmt"

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
