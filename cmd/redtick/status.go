package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/inspect"
)

func newStatus(t *target) *cobra.Command {
	return t.query(&cobra.Command{
		Use:   "status",
		Short: "Check the nodes",
		Long: `status asks every node for its round trip, clock, version, topology, role,
persistence and eviction policy. It says how many failures the nodes survive, and
warns of what weakens the vote. It waits --timeout for a node that does not answer,
so by default it ends within 2 s. Of a Cluster it asks one master.

CLOCK is how far a node's clock is ahead of this machine's, to within half the
round trip.

Exit codes
  0   all nodes are well
  1   there are warnings, but a majority of the nodes can vote
  2   no majority can vote, or none would for this user: no lock can be acquired

JSON: quorum, reachable, voting, has_quorum, clock_spread_ms (null with fewer than two
clocks), survives (how many nodes may fail from now on), nodes [name, ok, votes, error,
round_trip_ms, clock_offset_ms, server, version, topology (server, sentinel,
cluster), masters, replicas, run_id, role, persistence, maxmemory_policy],
warnings [code (node-out, no-vote, even-nodes, same-server, replica, cluster-member,
persistence, maxmemory-policy, clocks, unknown), nodes, text].`,
		Example: `  redtick status
  redtick status --nodes redis-a:6379,redis-b:6379,redis-c:6379 --timeout 300ms
  redtick status -o json | jq -r '.warnings[].code'`,
		Args: cobra.NoArgs,
	}, func(q *query, _ string) error {
		infos := q.describe()
		refusals, err := q.voters(infos)
		if err != nil {
			return err
		}
		report := newReport(infos, q.fleet.addresses, refusals)
		return errors.Join(q.print(report, report.write), report.verdict())
	})
}

// describe asks twice if all nodes answer: the first round trip may include connecting.
func (q *query) describe() []inspect.Node {
	nodes := q.Nodes(q.ctx)
	if slices.ContainsFunc(nodes, func(n inspect.Node) bool { return n.Err != nil }) {
		return nodes
	}
	return q.Nodes(q.ctx)
}

// voters asks the nodes that answer for a vote, as services do, and returns the errors of those that refuse, by name.
func (q *query) voters(infos []inspect.Node) (map[string]error, error) {
	var answer []driver.Node
	for n, info := range infos {
		if info.Err != nil || info.Role == "slave" || info.Mode == "cluster" && q.fleet.addresses[n].kind == oneServer {
			continue // another warning says why
		}
		answer = append(answer, q.fleet.nodes[n])
	}
	refusals := map[string]error{}
	if len(answer) == 0 {
		return refusals, nil
	}
	// Check asks three times, a node timeout apart.
	service, err := redlock.New(answer, redlock.WithPrefix(q.prefix), redlock.WithNodeTimeout(q.timeout/2), redlock.WithTTL(10*q.timeout))
	if err != nil {
		return nil, err
	}
	for _, n := range nodeErrors(service.Check(q.ctx)) {
		refusals[n.Node] = n.Err
	}
	return refusals, service.Close(q.ctx)
}

// statusReport is the answer of status. It is encoded as JSON.
type statusReport struct {
	Quorum      int           `json:"quorum"`
	Reachable   int           `json:"reachable"`
	Voting      int           `json:"voting"`
	HasQuorum   bool          `json:"has_quorum"`
	ClockSpread *float64      `json:"clock_spread_ms"`
	Survives    int           `json:"survives"`
	Nodes       []nodeView    `json:"nodes"`
	Warnings    []warning     `json:"warnings"`
	spread      time.Duration // of the clocks
	doubt       time.Duration // about the spread
}

// nodeView is one node.
type nodeView struct {
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
	info            inspect.Node
	kind            kind
	refusal         error // why a node that answers does not vote
}

// newReport returns the report. infos and addresses have the same order.
func newReport(infos []inspect.Node, addresses []*address, refusals map[string]error) *statusReport {
	r := &statusReport{Quorum: len(infos)/2 + 1}
	for i, n := range infos {
		r.Nodes = append(r.Nodes, nodeView{
			Name: n.Name, OK: n.Err == nil, Error: plain(n.Err),
			RoundTrip: milliseconds(n.RoundTrip), ClockOffset: milliseconds(n.ClockOffset),
			Server: n.Server, Version: n.Version, Topology: topologies[addresses[i].kind], Masters: n.Masters, Replicas: n.Replicas, RunID: n.RunID, Role: cmp.Or(roles[n.Role], n.Role), Persistence: n.Persistence, MaxMemoryPolicy: n.MaxMemoryPolicy,
			Votes: n.Err == nil && n.Role != "slave" && refusals[n.Name] == nil, refusal: refusals[n.Name],
			info: n, kind: addresses[i].kind,
		})
		if n.Err == nil {
			r.Reachable++
		}
		if r.Nodes[i].Votes {
			r.Voting++
		}
	}
	r.HasQuorum = r.Voting >= r.Quorum
	r.Survives = max(r.Voting-r.Quorum, 0)
	r.compareClocks()
	r.Warnings = warnings(r)
	return r
}

// roles are our words for the servers' roles.
var roles = map[string]string{"master": "primary", "slave": "replica"}

func (r *statusReport) compareClocks() {
	if r.Reachable < 2 {
		return
	}
	up := slices.DeleteFunc(slices.Clone(r.Nodes), func(n nodeView) bool { return !n.OK })
	byClock := func(a, b nodeView) int { return cmp.Compare(a.info.ClockOffset, b.info.ClockOffset) }
	first, last := slices.MinFunc(up, byClock).info, slices.MaxFunc(up, byClock).info
	r.spread = last.ClockOffset - first.ClockOffset
	r.doubt = (first.RoundTrip + last.RoundTrip) / 2
	ms := milliseconds(r.spread)
	r.ClockSpread = &ms
}

func (r *statusReport) write(w io.Writer) error {
	t := table{{"NODE", "ROUND TRIP", "CLOCK", "VERSION", "TOPOLOGY", "ROLE", "PERSISTENCE", "MAXMEMORY-POLICY"}}
	for _, n := range r.Nodes {
		if !n.OK {
			t.row(n.Name, "out")
			continue
		}
		t.row(n.Name, rounded(n.info.RoundTrip), signed(n.info.ClockOffset),
			orDash(strings.TrimSpace(n.Server+" "+n.Version)), n.topology(), orDash(n.Role), orDash(n.Persistence), orDash(n.MaxMemoryPolicy))
	}
	if err := t.write(w); err != nil {
		return err
	}
	answers := fmt.Sprintf("%d of %d nodes answer", r.Reachable, len(r.Nodes))
	if r.Voting < r.Reachable {
		answers += fmt.Sprintf(", %d can vote", r.Voting)
	}
	fmt.Fprintf(w, "\n%s, %d needed: %s\n", answers, r.Quorum, r.outcome())
	fmt.Fprintln(w, r.survives())
	if r.ClockSpread != nil {
		fmt.Fprintf(w, "their clocks are %s apart, give or take %s\n", rounded(r.spread), rounded(r.doubt))
	}
	for _, warn := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", printable(warn.Text))
	}
	return nil
}

func (r *statusReport) outcome() string {
	switch {
	case !r.HasQuorum && slices.ContainsFunc(r.Nodes, func(n nodeView) bool { return n.refusal != nil && strings.HasPrefix(plain(n.refusal), "NOPERM") }):
		return "this user can acquire no lock; give the services' user to see what they can acquire"
	case !r.HasQuorum:
		return "no lock can be acquired"
	case slices.ContainsFunc(r.Nodes, func(n nodeView) bool { return n.isMember() }):
		return "locks can be acquired on some names only"
	}
	return "locks can be acquired"
}

func (r *statusReport) verdict() error {
	switch {
	case !r.HasQuorum:
		return exit(exitNoQuorum, nil)
	case len(r.Warnings) > 0:
		return exit(exitWarning, nil)
	}
	return nil
}
