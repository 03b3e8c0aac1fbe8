package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

func newStatus(t *target) *cobra.Command {
	i := &inspection{target: t}
	c := &cobra.Command{
		Use:   "status",
		Short: "Are the nodes there, and fit to vote?",
		Long: `status asks every node how it is: round trip, clock, version, topology, role,
persistence, eviction policy; says what failures the whole survives; and warns of
what weakens the vote. A node that does not answer is given up after --timeout,
so with the default status ends within 2 s. Of a Cluster one master is asked.

CLOCK is how far a node's clock is ahead of this machine's, give or take half
the round trip.

It warns of
  node-out          a node that does not answer, or answers with an error
  even-nodes        an even number of nodes
  same-server       two addresses of one server, which then has two votes
  replica           a node that is a replica: it cannot vote
  cluster-member    a server of a Cluster that is not given as a whole
  persistence       a node that forgets votes when it restarts
  maxmemory-policy  a node that may evict votes
  clocks            clocks more than a second apart
  unknown           settings that a node does not tell

Exit codes
  0   all nodes are well
  1   there are warnings, and a majority of the nodes answers
  2   no majority of the nodes answers: no lock can be had
  64  the command line is wrong

JSON: quorum, reachable, has_quorum, clock_spread_ms (null with fewer than two
clocks), survives (how many nodes may fail from now on), nodes [name, ok, error,
round_trip_ms, clock_offset_ms, server, version, topology (server, sentinel,
cluster), masters, replicas, run_id, role, persistence, maxmemory_policy],
warnings [code, nodes, text].`,
		Example: `  redtick status
  redtick status --nodes redis-a:6379,redis-b:6379,redis-c:6379 --timeout 300ms
  redtick status -o json | jq -r '.warnings[].code'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return i.status(c.Context(), c.OutOrStdout()) },
	}
	i.listingFlags(c)
	return c
}

func (i *inspection) status(ctx context.Context, w io.Writer) error {
	f, inspector, err := i.open()
	if err != nil {
		return err
	}
	defer f.disconnect()
	report := newReport(i.look(ctx, inspector), f.addresses)
	if i.json {
		err = writeJSON(w, report)
	} else {
		err = report.write(w)
	}
	return errors.Join(err, report.verdict())
}

// look asks twice where all is well: the first round trip to a node includes making the connection.
func (i *inspection) look(ctx context.Context, inspector *inspect.Inspector) []inspect.Node {
	nodes := inspector.Nodes(ctx)
	for _, n := range nodes {
		if n.Err != nil {
			return nodes
		}
	}
	return inspector.Nodes(ctx)
}

// statusReport is the answer of status, in JSON as it stands.
type statusReport struct {
	Quorum      int           `json:"quorum"`
	Reachable   int           `json:"reachable"`
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
}

// newReport takes the nodes in the order of their addresses.
func newReport(infos []inspect.Node, addresses []*address) *statusReport {
	r := &statusReport{Quorum: len(infos)/2 + 1}
	for i, n := range infos {
		r.Nodes = append(r.Nodes, nodeView{
			Name: n.Name, OK: n.Err == nil, Error: plain(n.Err),
			RoundTrip: milliseconds(n.RoundTrip), ClockOffset: milliseconds(n.ClockOffset),
			Server: n.Server, Version: n.Version, Topology: topologies[addresses[i].kind], Masters: n.Masters, Replicas: n.Replicas, RunID: n.RunID, Role: role(n.Role), Persistence: n.Persistence, MaxMemoryPolicy: n.MaxMemoryPolicy,
			info: n, kind: addresses[i].kind,
		})
		if n.Err == nil {
			r.Reachable++
		}
	}
	r.HasQuorum = r.Reachable >= r.Quorum
	r.Survives = max(r.Reachable-r.Quorum, 0)
	r.compareClocks()
	r.Warnings = warnings(r)
	return r
}

// role is the server's role in today's words.
func role(s string) string {
	switch s {
	case "master":
		return "primary"
	case "slave":
		return "replica"
	}
	return s
}

func (r *statusReport) compareClocks() {
	var first, last *inspect.Node
	for i := range r.Nodes {
		n := &r.Nodes[i].info
		if n.Err != nil {
			continue
		}
		if first == nil || n.ClockOffset < first.ClockOffset {
			first = n
		}
		if last == nil || n.ClockOffset > last.ClockOffset {
			last = n
		}
	}
	if r.Reachable < 2 {
		return
	}
	r.spread = last.ClockOffset - first.ClockOffset
	r.doubt = (first.RoundTrip + last.RoundTrip) / 2
	ms := milliseconds(r.spread)
	r.ClockSpread = &ms
}

func (r *statusReport) write(w io.Writer) error {
	t := table{{"NODE", "ROUND TRIP", "CLOCK", "VERSION", "TOPOLOGY", "ROLE", "PERSISTENCE", "MAXMEMORY-POLICY"}}
	for _, n := range r.Nodes {
		if !n.OK {
			t.row(n.Name, "OUT")
			continue
		}
		t.row(n.Name, rounded(n.info.RoundTrip), signed(n.info.ClockOffset),
			orDash(strings.TrimSpace(n.Server+" "+n.Version)), n.topology(), orDash(n.Role), orDash(n.Persistence), orDash(n.MaxMemoryPolicy))
	}
	if err := t.write(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d of %d nodes answer, %d needed: %s\n", r.Reachable, len(r.Nodes), r.Quorum, r.outcome())
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
	case !r.HasQuorum:
		return "no lock can be had"
	case slices.ContainsFunc(r.Nodes, func(n nodeView) bool { return n.isMember() }):
		return "locks can be had on some names only"
	}
	return "locks can be had"
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
