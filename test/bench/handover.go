package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	oracleFloor = "floor: in-process oracle"
	blpopFloor  = "floor: BLPOP"

	handoverTime = "handover" // from one client's grant to another's
	fairness     = "fairness" // grants of the least served client to the mean
)

// handoverScenario has 8 processes compete for one name all the time.
func handoverScenario(nodes int) scenario {
	return scenario{
		name: fmt.Sprintf("handover-%d", nodes), nodes: nodes, rounds: 5,
		title: fmt.Sprintf("hand-over between 8 clients, %s", nodesText(nodes)),
		note:  "A hand-over is a grant to another client than the last. The oracle knows inside one process when the lock is free, and then takes it with go-redis.",
		columns: []column{
			{head: "us", figure: handoverTime, format: "%.0f"},
			{head: "x oracle", figure: handoverTime, against: oracleFloor},
			{head: "least served", figure: fairness, format: "%.2f"},
			{head: "client CPU us", figure: clientCPU, format: "%.0f"},
			{head: "server CPU us", figure: serverCPU, format: "%.0f"},
		},
		entries: func(b *bench) []entry {
			slices := 0
			rivals := append([]contender{{name: oracleFloor, floor: true, open: oracle()}}, without(b.contenders(), tcpFloor, goredisFloor)...)
			if nodes == 1 {
				rivals = append(rivals, contender{name: blpopFloor, floor: true, open: openBLPop})
			}
			return b.eachFleet(rivals, 8, func(c contender, fleet []process) (figures, error) {
				slices++ // a name that was never locked: the oracle's floor leaves keys behind
				return b.handOver(fmt.Sprintf("turn %d: %s", slices, c.name), fleet)
			})
		},
	}
}

// relay counts the grants of the name by process.
type relay struct {
	mu     sync.Mutex
	last   int
	turns  []int
	passes int
}

func (r *relay) granted(to int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns[to]++
	if r.last != to {
		r.passes++
	}
	r.last = to
}

func (b *bench) handOver(name string, fleet []process) (figures, error) {
	// Contenders that poll need a while for any handover.
	r := &relay{last: -1, turns: make([]int, len(fleet))}
	before := now(b.nodes)
	ctx, cancel := context.WithTimeout(context.Background(), 5*b.slice)
	defer cancel()
	var all sync.WaitGroup
	for i, p := range fleet {
		all.Go(func() { compete(ctx, r, i, p.mutex(name)) })
	}
	<-ctx.Done()
	elapsed := time.Since(before.at)
	r.mu.Lock()
	// A name that was never handed over counts as handed over at the end.
	passes, turns, sum := max(r.passes, 1), slices.Min(r.turns), max(total(r.turns), 1)
	r.mu.Unlock()
	after := now(b.nodes)
	all.Wait()
	per := func(d time.Duration) float64 { return micros(d) / float64(passes) }
	return figures{
		handoverTime: per(elapsed), fairness: float64(turns*len(fleet)) / float64(sum),
		clientCPU: per(after.client - before.client), serverCPU: per(after.server.cpu - before.server.cpu),
	}, nil
}

func compete(ctx context.Context, r *relay, who int, m mutex) {
	for ctx.Err() == nil {
		h, err := m.lock(ctx)
		if err != nil {
			continue
		}
		if ctx.Err() == nil {
			r.granted(who)
		}
		_ = h.unlock(context.WithoutCancel(ctx))
	}
}

func total(counts []int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// oracle returns processes that share one turn through a channel, which serves the longest waiter.
func oracle() func(setup) (process, error) {
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	return func(s setup) (process, error) { return &oracleProcess{&raw{s.goredis(), s.ttl}, turn}, nil }
}

type oracleProcess struct {
	*raw
	turn chan struct{}
}

func (p *oracleProcess) mutex(name string) mutex { return oracleMutex{rawMutex{p.raw, name}, p.turn} }

type oracleMutex struct {
	rawMutex
	turn chan struct{}
}

func (m oracleMutex) lock(ctx context.Context) (held, error) {
	select {
	case <-m.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h, err := m.try(ctx)
	if err != nil {
		m.turn <- struct{}{}
		return nil, err
	}
	return oracleHeld{h, m.turn}, nil
}

type oracleHeld struct {
	held
	turn chan struct{}
}

func (h oracleHeld) unlock(ctx context.Context) error {
	defer func() { h.turn <- struct{}{} }()
	return h.held.unlock(ctx)
}

// blpop passes on an element of a list. Redis serves the longest waiter, but if a
// holder dies, the element is lost.
type blpop struct {
	*redis.Client
	name string
}

func openBLPop(s setup) (process, error) { return blpop{Client: s.goredis()[0]}, nil }

func (p blpop) close() { p.Client.Close() }

func (p blpop) mutex(name string) mutex {
	if made, _ := p.SetNX(context.Background(), name+":made", 1, 0).Result(); made {
		p.RPush(context.Background(), name, 1)
	}
	return blpop{p.Client, name}
}

func (p blpop) try(ctx context.Context) (held, error) { return p.lock(ctx) }

func (p blpop) lock(ctx context.Context) (held, error) {
	return p, p.Do(ctx, "BLPOP", p.name, "0.1").Err()
}

func (p blpop) unlock(ctx context.Context) error { return p.RPush(ctx, p.name, 1).Err() }
