package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock"
)

const (
	winTime  = "win"  // of the replica that is granted the tick
	loseTime = "lose" // of one that is not
)

// claimScenario has three replicas claim each tick at the same moment.
func claimScenario(nodes int) scenario {
	return scenario{
		name: fmt.Sprintf("claim-%d", nodes), nodes: nodes, rounds: 9,
		title: fmt.Sprintf("three replicas claim each tick at the same moment, %s", nodesText(nodes)),
		note:  "Others than redtick lock a name made of job and tick, and let it expire: as much as they can do.",
		columns: []column{
			{head: "win us", figure: winTime},
			{head: "x go-redis", figure: winTime, against: goredisFloor},
			{head: "lose us", figure: loseTime},
			{head: "x go-redis", figure: loseTime, against: goredisFloor},
			{head: "lost %", figure: lostTicks},
			{head: "granted twice %", figure: doubleTicks},
			{head: "errors %", figure: errorShare},
			{head: "client CPU us/tick", figure: clientCPU, format: "%.0f"},
			{head: "server CPU us/tick", figure: serverCPU, format: "%.0f"},
		},
		entries: func(b *bench) []entry {
			return b.eachFleet(append(claimants(b), withoutHistory(b)...), 3, func(c contender, fleet []process) (figures, error) {
				return b.claims("cron: "+c.name, fleet)
			})
		},
	}
}

// claimants returns the contenders without rueidislock, whose keys live only while goroutines renew them.
func claimants(b *bench) []contender { return without(b.contenders(), "rueidislock") }

// withoutHistory returns redtick without a history, to show what the history costs claims.
func withoutHistory(b *bench) []contender {
	c := contender{name: "redtick (go-redis), no history", open: func(s setup) (process, error) { return openRedtickWith(s, redlock.WithHistory(0)) }}
	if !b.only.MatchString(c.name) {
		return nil
	}
	return []contender{c}
}

// newest is the newest tick used so far, in Unix ms.
var newest atomic.Int64

// nextTick returns an unused tick: a millisecond after the last one, and close enough
// to the clock to be granted however long the run takes.
func nextTick() time.Time {
	for {
		last := newest.Load()
		next := max(last+1, oldTick().UnixMilli())
		if newest.CompareAndSwap(last, next) {
			return time.UnixMilli(next)
		}
	}
}

// oldTick returns a tick before all later results of nextTick, but within the retention.
func oldTick() time.Time { return time.Now().Add(-10 * time.Minute) }

// claim claims a tick, or locks the job if the contender has no ticks.
func claim(ctx context.Context, p process, job string, tick time.Time) (release func() error, err error) {
	if c, ok := p.(claimer); ok {
		h, err := c.claim(ctx, job, tick)
		if err != nil {
			return nil, err
		}
		return func() error { return h.unlock(ctx) }, nil
	}
	_, err = p.mutex(fmt.Sprintf("%s@%d", job, tick.UnixMilli())).try(ctx)
	return func() error { return nil }, err
}

// tally counts the outcomes of ticks.
type tally struct {
	mu        sync.Mutex
	win, lose []time.Duration
	lost      int // ticks that nobody was granted
	twice     int // ticks that several were granted
	failed    int // calls that said neither
	ticks     int
}

func (b *bench) claims(job string, fleet []process) (figures, error) {
	t := &tally{}
	before := now(b.nodes)
	for time.Since(before.at) < b.slice {
		t.tick(fleet, job, nextTick())
	}
	after := now(b.nodes)
	return t.figures(before, after)
}

func (t *tally) figures(before, after usage) (figures, error) {
	if len(t.win) == 0 {
		return nil, fmt.Errorf("of %d ticks %d were won and %d lost", t.ticks, len(t.win), len(t.lose))
	}
	middle := func(d []time.Duration) float64 { return micros(append(slices.Sorted(slices.Values(d)), 0)[len(d)/2]) } // of a replica alone none loses
	per := func(d time.Duration) float64 { return micros(d) / float64(t.ticks) }
	return figures{
		winTime: middle(t.win), loseTime: middle(t.lose), lostTicks: 100 * float64(t.lost) / float64(t.ticks), doubleTicks: 100 * float64(t.twice) / float64(t.ticks),
		errorShare: 100 * float64(t.failed) / float64(len(t.win)+len(t.lose)+t.failed),
		clientCPU:  per(after.client - before.client), serverCPU: per(after.server.cpu - before.server.cpu),
	}, nil
}

// tick lets all processes claim one tick at once.
func (t *tally) tick(fleet []process, job string, at time.Time) {
	start := make(chan struct{})
	releases := make([]func() error, len(fleet))
	var all sync.WaitGroup
	for i, p := range fleet {
		all.Go(func() {
			<-start
			begin := time.Now()
			release, err := claim(context.Background(), p, job, at)
			t.note(time.Since(begin), err)
			if err == nil {
				releases[i] = release
			}
		})
	}
	close(start)
	all.Wait()
	t.finish(releases)
}

func (t *tally) note(took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.win = append(t.win, took)
	case errors.Is(err, errTaken):
		t.lose = append(t.lose, took)
	default:
		t.failed++
	}
}

func (t *tally) finish(releases []func() error) {
	granted, failed := 0, 0
	for _, release := range releases {
		if release == nil {
			continue
		}
		granted++
		if release() != nil {
			failed++
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ticks++
	t.failed += failed
	switch {
	case granted == 0:
		t.lost++
	case granted > 1:
		t.twice++
	}
}
