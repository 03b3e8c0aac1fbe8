package main

import (
	"context"
	"fmt"
)

// pairScenario has one caller lock and unlock uncontended names.
func pairScenario(nodes int) scenario {
	return scenario{
		name: fmt.Sprintf("pair-%d", nodes), nodes: nodes,
		title: fmt.Sprintf("lock and unlock, uncontended, %s", nodesText(nodes)),
		columns: append([]column{
			{head: "us", figure: opTime},
			{head: "p99", figure: opWorst, format: "%.0f"},
			{head: "x go-redis", figure: opTime, against: goredisFloor},
			{head: "x TCP", figure: opTime, against: tcpFloor},
		}, costs...),
		entries: func(b *bench) []entry {
			return b.each(b.usual(), func(c contender, p process) run { return b.pairs(c.name, p, 1, 16) })
		},
	}
}

// parallelScenario has 64 callers, each with its own names.
func parallelScenario(nodes int) scenario {
	return scenario{
		name: fmt.Sprintf("parallel-%d", nodes), nodes: nodes,
		title: fmt.Sprintf("lock and unlock, 64 goroutines on distinct names, %s", nodesText(nodes)),
		columns: append([]column{
			{head: "pairs/s", figure: opRate, format: "%.0f"},
			{head: "x go-redis", figure: opRate, against: goredisFloor},
			{head: "x TCP", figure: opRate, against: tcpFloor},
		}, costs...),
		entries: func(b *bench) []entry {
			return b.each(b.usual(), func(c contender, p process) run { return b.pairs(c.name, p, atOnce, 1) })
		},
	}
}

var costs = []column{
	{head: "client CPU us", figure: clientCPU},
	{head: "x go-redis", figure: clientCPU, against: goredisFloor},
	{head: "x TCP", figure: clientCPU, against: tcpFloor},
	{head: "allocs", figure: opAllocs},
	{head: "bytes", figure: opBytes, format: "%.0f"},
	{head: "server CPU us", figure: serverCPU},
	{head: "commands/read", figure: depth},
}

func nodesText(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// pairs returns a run in which each worker locks and unlocks its own names in turn.
func (b *bench) pairs(owner string, p process, workers, names int) run {
	ctx := context.Background()
	mutexes := make([][]mutex, workers)
	for w := range mutexes {
		for i := range names {
			mutexes[w] = append(mutexes[w], p.mutex(fmt.Sprintf("%s: job:%d:%d", owner, w, i)))
		}
	}
	do := func(worker, i int) error { return pair(ctx, mutexes[worker][i%names]) }
	return run{measure: func() (figures, error) {
		return drive(b.nodes, load{workers: workers, lasts: b.slice}, do)
	}}
}
