package main

import (
	"context"
	"runtime"
	"slices"
	"time"
)

// fault is a fault of the last nodes while a contender is measured.
type fault struct {
	nodes  int
	strike func(*server)
	heal   func(*server) error
}

func hung(n int) fault {
	return fault{n, (*server).hang, func(s *server) error { s.resume(); return nil }}
}

func refused(n int) fault { return fault{n, (*server).end, (*server).launch} }

const (
	healthyTime = "healthy" // lock and unlock with all nodes well
	faultyTime  = "faulty"  // lock and unlock under the fault
	faultyWorst = "worst"
	slowdown    = "slowdown" // the former to the latter, same round
	grown       = "goroutines"
	errorShare  = "errors" // percent of the calls
)

// faultScenario locks and unlocks on five nodes, some of which do not answer.
func faultScenario(name, title string, impatient bool, f fault) scenario {
	return scenario{
		name: name, nodes: 5, title: title, rounds: 3,
		note: "Time of lock and unlock; a library that is not back by the limit (10 s, with -quick 0.3 s) is shown with the limit.",
		columns: []column{
			{head: "us", figure: faultyTime, format: "%.0f"},
			{head: "worst us", figure: faultyWorst, format: "%.0f"},
			{head: "healthy us", figure: healthyTime, format: "%.0f"},
			{head: "x healthy", figure: slowdown, format: "%.2f"},
			{head: "goroutines more", figure: grown, format: "%.0f"},
			{head: "errors %", figure: errorShare, format: "%.1f"},
		},
		entries: func(b *bench) []entry {
			return b.each(setup{addrs: b.nodes.addrs(), ttl: defaultTTL, impatient: impatient}, func(c contender, p process) run {
				return run{measure: func() (figures, error) { return b.suffer(p.mutex("fault: "+c.name), f) }}
			})
		},
	}
}

// suffer measures healthy nodes first, then the same under the fault.
func (b *bench) suffer(m mutex, f fault) (figures, error) {
	healthy := b.attempt(m, b.slice/2)
	idle := runtime.NumGoroutine()
	struck := b.nodes[len(b.nodes)-f.nodes:]
	for _, s := range struck {
		f.strike(s)
	}
	outcome := make(chan attempts, 1)
	go func() { outcome <- b.attempt(m, b.slice) }()
	result, back := b.await(outcome)
	more := runtime.NumGoroutine() - idle
	for _, s := range struck {
		if err := f.heal(s); err != nil {
			return nil, err
		}
	}
	if !back {
		<-outcome
	}
	time.Sleep(50 * time.Millisecond) // what was stuck gets through
	return figures{
		healthyTime: micros(healthy.median()), faultyTime: micros(result.median()), faultyWorst: micros(slices.Max(result.times)),
		slowdown: float64(result.median()) / float64(healthy.median()),
		grown:    float64(more), errorShare: 100 * float64(result.errors) / float64(len(result.times)),
	}, nil
}

// await waits for an outcome, for at most 10 s.
func (b *bench) await(outcome <-chan attempts) (attempts, bool) {
	limit := 10 * time.Second
	if b.quick {
		limit = 300 * time.Millisecond
	}
	select {
	case a := <-outcome:
		return a, true
	case <-time.After(limit):
		return attempts{times: []time.Duration{limit}}, false
	}
}

type attempts struct {
	times  []time.Duration
	errors int
}

func (a attempts) median() time.Duration {
	return slices.Sorted(slices.Values(a.times))[len(a.times)/2]
}

// attempt locks and unlocks for a while, at least once.
func (b *bench) attempt(m mutex, lasts time.Duration) (a attempts) {
	for begin := time.Now(); len(a.times) == 0 || time.Since(begin) < lasts; {
		start := time.Now()
		if pair(context.Background(), m) != nil {
			a.errors++
		}
		a.times = append(a.times, time.Since(start))
	}
	return a
}
