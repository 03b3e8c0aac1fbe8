package main

import (
	"fmt"
	"sync"
	"time"
)

const (
	burstTime = "burst"  // milliseconds until every replica knows about every job
	claimRate = "claims" // per second
)

// burstScenario is a busy minute: a thousand jobs tick in the same second on three
// replicas, and each replica claims every job at once.
func burstScenario() scenario {
	return scenario{
		name: "burst", nodes: 5, rounds: 5, title: "1,000 jobs tick in the same second on 3 replicas, 5 nodes",
		note: "3,000 claims from 3,000 goroutines.",
		columns: []column{
			{head: "ms", figure: burstTime},
			{head: "x go-redis", figure: burstTime, against: goredisFloor},
			{head: "claims/s", figure: claimRate, format: "%.0f"},
			{head: "lost %", figure: lostTicks, format: "%.2f"},
			{head: "granted twice %", figure: doubleTicks, format: "%.2f"},
			{head: "errors %", figure: errorShare},
			{head: "client CPU us/tick", figure: clientCPU, format: "%.0f"},
			{head: "server CPU us/tick", figure: serverCPU, format: "%.0f"},
		},
		entries: func(b *bench) []entry {
			return b.eachFleet(claimants(b), 3, func(c contender, fleet []process) (figures, error) {
				return b.burst("burst: "+c.name, fleet, 1000)
			})
		},
	}
}

func (b *bench) burst(job string, fleet []process, jobs int) (figures, error) {
	t := &tally{}
	at := nextTick()
	before := now(b.nodes)
	var all sync.WaitGroup
	for i := range jobs {
		all.Go(func() { t.tick(fleet, fmt.Sprintf("%s:%d", job, i), at) })
	}
	all.Wait()
	elapsed := time.Since(before.at)
	after := now(b.nodes)
	f, err := t.figures(before, after)
	if err == nil {
		f[burstTime] = elapsed.Seconds() * 1000
		f[claimRate] = float64(jobs*len(fleet)) / elapsed.Seconds()
	}
	return f, err
}
