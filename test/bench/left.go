package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const keysLeft = "keys_left" // per 1000 rounds

// leftScenario has two processes try the same thousand names at the same time, once
// each, and release what they get. Afterwards nothing should be left on the nodes.
func leftScenario() scenario {
	return scenario{
		name: "left", nodes: 5, rounds: 5,
		title:   "keys left behind per 1,000 rounds that were decided early, 5 nodes",
		note:    "Counted on all nodes 0.3 s after the last call has returned; they block their names until the TTL ends.",
		columns: []column{{head: "keys", figure: keysLeft, format: "%.0f"}},
		entries: func(b *bench) []entry {
			return b.eachFleet(without(b.contenders(), tcpFloor), 2, func(_ contender, fleet []process) (figures, error) {
				return b.leave(fleet)
			})
		},
	}
}

func (b *bench) leave(fleet []process) (figures, error) {
	const names = 1000
	b.nodes.flush()
	var all sync.WaitGroup
	for _, p := range fleet {
		all.Go(func() {
			_ = spread(names, func(k int) error { return pair(context.Background(), p.mutex(fmt.Sprintf("once:%d", k))) })
		})
	}
	all.Wait()
	time.Sleep(300 * time.Millisecond)
	left := b.nodes.keys()
	b.nodes.flush()
	return figures{keysLeft: left * 1000 / float64(names*len(fleet))}, nil
}
