package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// The kinds of faults.
const (
	nodeStop     = "node SIGSTOP, SIGCONT"
	nodeKill     = "node kill -9, restart with its data"
	nodeForget   = "node kill -9, restart empty"
	replicaStop  = "replica SIGSTOP, SIGCONT"
	replicaKill  = "replica kill -9, restart"
	latency      = "link latency"
	lostRequests = "link loses requests"
	lostReplies  = "link loses replies"
	resets       = "link resets connections"
	disconnect   = "link cut"
)

// fault is one fault, from At to At+For after the start.
type fault struct {
	Kind     string
	At, For  time.Duration
	Nodes    []int
	Replicas []int
	Latency  int // in ms
}

func (f fault) String() string {
	text := f.Kind
	if f.Kind == latency {
		text += fmt.Sprintf(" of %d ms", f.Latency)
	}
	if f.Nodes != nil {
		text += fmt.Sprintf(", nodes %v", f.Nodes)
	}
	if f.Replicas != nil {
		text += fmt.Sprintf(", replicas %v", f.Replicas)
	}
	return text
}

const (
	nodes    = 5
	replicas = 5
	minority = (nodes - 1) / 2
	warmUp   = time.Second // from the start of the replicas to the first fault
	mildTime = 9 * time.Second
	wildTime = 11 * time.Second
)

// plan lists the faults of one round, all determined by the seed. In its mild part
// they affect only one minority of the nodes, and every tick must run. In its wild
// part anything may fail, but at most a minority loses its data at a time.
type plan struct {
	forgetful bool // nodes that are killed restart empty, behind the restart guard
	ttl       time.Duration
	rng       *rand.Rand
	weak      []int // the minority
	faults    []fault
}

func newPlan(seed uint64, ttl time.Duration) *plan {
	p := &plan{forgetful: seed%2 == 1, ttl: ttl, rng: rand.New(rand.NewPCG(seed, 0))}
	p.weak = p.rng.Perm(nodes)[:minority]
	p.lane(warmUp, mildTime, p.mildNode)
	p.lane(warmUp, mildTime, p.mildLink)
	p.lane(warmUp+mildTime, wildTime, p.wildNode)
	p.lane(warmUp+mildTime, wildTime, p.wildLink)
	p.lane(warmUp+mildTime, wildTime, p.replica)
	slices.SortStableFunc(p.faults, func(a, b fault) int { return cmp.Compare(a.At, b.At) })
	return p
}

// lane adds sequential faults, so that no two overlap on one target.
func (p *plan) lane(from, length time.Duration, next func() fault) {
	at, end := from, from+length
	for at < end-200*time.Millisecond {
		f := next()
		f.At = at
		f.For = min(f.For, end-at)
		p.faults = append(p.faults, f)
		at += f.For + p.between(50*time.Millisecond, 600*time.Millisecond)
	}
}

// target returns the kind of target of the fault: "node", "link" or "replica".
func (f fault) target() string {
	target, _, _ := strings.Cut(f.Kind, " ")
	return target
}

func (p *plan) between(low, high time.Duration) time.Duration { return low + below(p.rng, high-low) }

func (p *plan) mildNode() fault { return p.node(pick(p.rng, p.weak, minority)) }
func (p *plan) mildLink() fault { return p.link(pick(p.rng, p.weak, minority)) }
func (p *plan) wildNode() fault { return p.node(pick(p.rng, upTo(nodes), p.breadth())) }

// wildLink sometimes cuts holders off from all nodes for longer than their leases
// last.
func (p *plan) wildLink() fault {
	f := p.link(pick(p.rng, upTo(nodes), p.breadth()))
	if p.rng.IntN(3) == 0 {
		f.For, f.Replicas, f.Nodes = p.between(3*p.ttl/2, 2*p.ttl), pick(p.rng, upTo(replicas), minority), upTo(nodes)
	}
	return f
}

// breadth returns the number of targets. It is mostly small: if nothing is granted,
// nothing can go wrong.
func (p *plan) breadth() int {
	if p.rng.IntN(3) == 0 {
		return nodes
	}
	return minority
}

func (p *plan) node(on []int) fault {
	f := fault{Kind: nodeStop, Nodes: on, For: p.between(100*time.Millisecond, 3*time.Second)}
	switch p.rng.IntN(3) {
	case 0:
		f.Kind = answers + refusals[p.rng.IntN(len(refusals))]
		if f.Kind == answers+"BUSY" {
			f.Nodes, f.For = on[:1], f.For/3 // it takes a whole core
		}
	case 1:
		f.Kind = nodeKill
		if p.forgetful {
			f.Kind, f.Nodes = nodeForget, on[:min(len(on), minority)]
		}
		f.For /= 3
	}
	return f
}

func (p *plan) link(on []int) fault {
	kinds := []string{latency, lostRequests, lostReplies, resets, disconnect}
	return fault{
		Kind: kinds[p.rng.IntN(len(kinds))], Nodes: on, Replicas: pick(p.rng, upTo(replicas), replicas),
		For: p.between(100*time.Millisecond, 3*time.Second), Latency: 5 + p.rng.IntN(600),
	}
}

func (p *plan) replica() fault {
	f := fault{Kind: replicaStop, Replicas: pick(p.rng, upTo(replicas), 2), For: p.between(100*time.Millisecond, 2*p.ttl)}
	if p.rng.IntN(3) == 0 {
		f.Kind, f.For = replicaKill, f.For/4
	}
	return f
}

// pick returns 1 to most elements of from.
func pick(rng *rand.Rand, from []int, most int) []int {
	mixed := slices.Clone(from)
	rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	return mixed[:1+rng.IntN(most)]
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func below(rng *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(d)))
}
