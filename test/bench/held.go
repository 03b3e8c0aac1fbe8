package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	cpuShare   = "cpu_share" // percent of one core
	renewals   = "renewals"  // per second
	renewalCPU = "renewal_cpu"
)

// heldScenario has a process hold ten thousand locks and renew them.
func heldScenario() scenario {
	return scenario{
		name: "held", nodes: 1, rounds: 3,
		title: "10,000 leases held and renewed every third of their TTL, 1 node (1,000 with -quick)",
		note:  "The floors send the same extensions in pipelines of 1,000. redsync and redislock leave renewal to their user: here a goroutine per lock.",
		columns: []column{
			{head: "goroutines", figure: grown, format: "%.0f"},
			{head: "renewals/s", figure: renewals, format: "%.0f"},
			{head: "client CPU us/renewal", figure: renewalCPU, format: "%.2f"},
			{head: "x go-redis", figure: renewalCPU, against: goredisFloor},
			{head: "x TCP", figure: renewalCPU, against: tcpFloor},
			{head: "server CPU us", figure: serverCPU, format: "%.2f"},
		},
		entries: func(b *bench) (entries []entry) {
			n := 10000
			if b.quick {
				n = 1000
			}
			for _, c := range b.contenders() {
				entries = append(entries, entry{name: c.name, start: func() (run, error) {
					return run{measure: func() (figures, error) { return b.hold(b.nodes, c, n) }, stop: func() {}}, nil
				}})
			}
			return entries
		},
	}
}

// hold acquires n locks, keeps them for a while, and releases them.
func (b *bench) hold(nodes servers, c contender, n int) (figures, error) {
	ttl := 6 * time.Second
	if b.quick {
		ttl = 900 * time.Millisecond
	}
	time.Sleep(20 * time.Millisecond) // those of the one before end
	idle := runtime.NumGoroutine()
	p, err := c.open(setup{addrs: nodes.addrs(), ttl: ttl})
	if err != nil {
		return nil, err
	}
	defer p.close()
	held, err := takeAll(p, n)
	if err != nil {
		return nil, err
	}
	stop := keep(p, held, ttl/3)
	runtime.GC()
	before, sent := now(nodes), nodes.scripts()
	grew := mostGoroutines(ttl*2/3) - idle
	after, alive := now(nodes), nodes.keys()
	extended := nodes.scripts() - sent
	stop()
	if alive < float64(n) || extended == 0 {
		return nil, fmt.Errorf("%.0f of %d locks were alive after %.0f renewals", alive, n, extended)
	}
	return figures{
		grown: float64(grew), renewals: extended / after.at.Sub(before.at).Seconds(),
		cpuShare:   100 * (after.client - before.client).Seconds() / after.at.Sub(before.at).Seconds(),
		renewalCPU: micros(after.client-before.client) / extended, serverCPU: micros(after.server.cpu-before.server.cpu) / extended,
	}, giveAll(held)
}

// mostGoroutines returns the largest number of goroutines during a period.
func mostGoroutines(lasts time.Duration) (most int) {
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		most = max(most, runtime.NumGoroutine())
	}
	return most
}

const atOnce = 64

func takeAll(p process, n int) ([]held, error) {
	held := make([]held, n)
	return held, spread(n, func(i int) (err error) {
		held[i], err = p.mutex(fmt.Sprintf("held:%d", i)).try(context.Background())
		return err
	})
}

func giveAll(held []held) error {
	return spread(len(held), func(i int) error { return held[i].unlock(context.Background()) })
}

// spread does n things, some at once, and returns the first error.
func spread(n int, do func(i int) error) error {
	errs := make(chan error, atOnce)
	for w := range min(atOnce, n) {
		go func() {
			var first error
			for i := w; i < n; i += atOnce {
				if err := do(i); err != nil && first == nil {
					first = err
				}
			}
			errs <- first
		}()
	}
	var first error
	for range min(atOnce, n) {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// keep renews locks that do not renew themselves: in pipelines for the floors, and in
// a goroutine for each lock of a library that only offers an extension.
func keep(p process, held []held, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	_, ours := held[0].(extender)
	switch p := p.(type) {
	case *raw:
		_ = expireScript.Load(ctx, p.clients[0]).Err()
		all.Go(func() { tick(ctx, every, func() { p.extendAll(ctx, held) }) })
	case *wire:
		all.Go(func() { tick(ctx, every, func() { p.extendAll(held) }) })
	default:
		for _, h := range held {
			if ours {
				all.Go(func() { tick(ctx, every, func() { _ = h.(extender).extend(ctx) }) })
			}
		}
	}
	return func() { cancel(); all.Wait() }
}

func tick(ctx context.Context, every time.Duration, do func()) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}

const pipeline = 1000

func (p *raw) extendAll(ctx context.Context, held []held) {
	ms := p.ttl.Milliseconds()
	for begin := 0; begin < len(held); begin += pipeline {
		_, _ = p.clients[0].Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, h := range held[begin:min(begin+pipeline, len(held))] {
				pipe.EvalSha(ctx, expireScript.Hash(), []string{h.(rawHeld).name}, h.(rawHeld).token, ms)
			}
			return nil
		})
	}
}

func (p *wire) extendAll(held []held) {
	for begin := 0; begin < len(held); begin += pipeline {
		batch := held[begin:min(begin+pipeline, len(held))]
		v := &wireVote{enough: int32(len(batch)), all: int32(len(batch)), done: make(chan struct{}, 1)}
		for _, h := range batch {
			p.conns[0].send(v, []string{"EVALSHA", expireDigest, "1", h.(wireHeld).name, h.(wireHeld).token, p.ttl})
		}
		<-v.done
	}
}
