package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	runsPerTick = "runs_per_tick"
	lostTicks   = "lost"  // percent
	doubleTicks = "twice" // percent
)

// skewScenario has replicas whose clocks differ by more than a job takes, the problem
// that redtick solves. All contenders but redtick lock the job's name during the run.
func skewScenario() scenario {
	return scenario{
		name: "skew", nodes: 5, rounds: 3, title: "runs per tick: 3 replicas, clocks 0, 20 and 40 ms off, jobs of 1 ms, 5 nodes",
		columns: []column{
			{head: "runs per tick", figure: runsPerTick, format: "%.2f"},
			{head: "lost %", figure: lostTicks, format: "%.0f"},
			{head: "run twice or more %", figure: doubleTicks, format: "%.0f"},
			{head: "errors %", figure: errorShare},
		},
		entries: func(b *bench) []entry {
			return b.eachFleet(without(b.contenders(), tcpFloor), 3, func(c contender, fleet []process) (figures, error) {
				return b.ticks("skew: "+c.name, fleet, 20, 20*time.Millisecond, time.Millisecond)
			})
		},
	}
}

// splitScenario has clocks that agree so well that all replicas ask at the same
// instant and split the votes.
func splitScenario() scenario {
	return scenario{
		name: "split", nodes: 5, rounds: 3, title: "lost ticks: 5 replicas at the same instant, one try each, 5 nodes",
		columns: []column{
			{head: "lost %", figure: lostTicks, format: "%.1f"},
			{head: "run twice or more %", figure: doubleTicks, format: "%.1f"},
			{head: "errors %", figure: errorShare},
		},
		entries: func(b *bench) []entry {
			return b.eachFleet(without(b.contenders(), tcpFloor), 5, func(c contender, fleet []process) (figures, error) {
				return b.split("split: "+c.name, fleet)
			})
		},
	}
}

// ticks runs one tick of several jobs, on one process after the other.
func (b *bench) ticks(name string, fleet []process, jobs int, apart, takes time.Duration) (figures, error) {
	runs := make([]atomic.Int32, jobs)
	failed := atomic.Int32{}
	at := nextTick()
	start := time.Now()
	var all sync.WaitGroup
	for job := range jobs {
		for i, p := range fleet {
			all.Go(func() {
				time.Sleep(time.Until(start.Add(time.Duration(i) * apart)))
				if runTick(p, fmt.Sprintf("%s:%d", name, job), at, takes, &runs[job]) != nil {
					failed.Add(1)
				}
			})
		}
	}
	all.Wait()
	return outcome(runs, failed.Load(), len(fleet)), nil
}

// split runs ticks one after another, because all replicas ask at the same instant.
func (b *bench) split(name string, fleet []process) (figures, error) {
	ticks := 50
	if b.quick {
		ticks = 20
	}
	runs := make([]atomic.Int32, ticks)
	failed := atomic.Int32{}
	for k := range runs {
		at := nextTick()
		begin := make(chan struct{})
		var all sync.WaitGroup
		for _, p := range fleet {
			all.Go(func() {
				<-begin
				if runTick(p, fmt.Sprintf("%s:%d", name, k), at, 10*time.Millisecond, &runs[k]) != nil {
					failed.Add(1)
				}
			})
		}
		time.Sleep(time.Millisecond) // until all are there
		close(begin)
		all.Wait()
	}
	return outcome(runs, failed.Load(), len(fleet)), nil
}

// runTick does what a scheduler does: it claims the tick, or locks the job if the
// contender has no ticks, then runs and unlocks.
func runTick(p process, job string, at time.Time, takes time.Duration, runs *atomic.Int32) error {
	ctx := context.Background()
	var h held
	var err error
	if c, ok := p.(claimer); ok {
		h, err = c.claim(ctx, job, at)
	} else {
		h, err = p.mutex(job).try(ctx)
	}
	if errors.Is(err, errTaken) {
		return nil
	}
	if err != nil {
		return err
	}
	runs.Add(1)
	time.Sleep(takes)
	return h.unlock(ctx)
}

func outcome(runs []atomic.Int32, failed int32, replicas int) figures {
	all, lost, twice := 0, 0, 0
	for i := range runs {
		n := int(runs[i].Load())
		all += n
		if n == 0 {
			lost++
		}
		if n > 1 {
			twice++
		}
	}
	n := float64(len(runs))
	return figures{errorShare: 100 * float64(failed) / n / float64(replicas), runsPerTick: float64(all) / n, lostTicks: 100 * float64(lost) / n, doubleTicks: 100 * float64(twice) / n}
}
