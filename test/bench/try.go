package main

import (
	"context"
	"errors"
	"fmt"
)

// tryScenario is a caller that asks for what another process holds.
func tryScenario(nodes int) scenario {
	return scenario{
		name: fmt.Sprintf("try-%d", nodes), nodes: nodes,
		title: fmt.Sprintf("a try that loses, %s", nodesText(nodes)),
		note:  "redtick and redsync say taken once a majority is known to be another's; rueidislock asks for one key after the other.",
		columns: append([]column{
			{head: "us", figure: opTime},
			{head: "p99", figure: opWorst, format: "%.0f"},
			{head: "x go-redis", figure: opTime, against: goredisFloor},
			{head: "x TCP", figure: opTime, against: tcpFloor},
		}, costs...),
		entries: (*bench).losers,
	}
}

func (b *bench) losers() []entry {
	return b.eachFleet(b.contenders(), 2, func(c contender, fleet []process) (figures, error) {
		return b.lose(fleet[0].mutex("busy: "+c.name), fleet[1].mutex("busy: "+c.name))
	})
}

func (b *bench) lose(holder, loser mutex) (figures, error) {
	ctx := context.Background()
	h, err := holder.try(ctx)
	if err != nil {
		return nil, fmt.Errorf("the holder: %w", err)
	}
	f, err := drive(b.nodes, load{workers: 1, lasts: b.slice}, func(int, int) error {
		return lost(loser.try(ctx))
	})
	return f, errors.Join(err, h.unlock(ctx))
}
