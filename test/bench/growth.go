package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"time"
)

// A growth scenario measures redtick at successive points of an axis.

// point is one entry of a growth scenario.
func point(x int, start func() (run, error)) entry {
	return entry{name: grouped(x), x: float64(x), start: start}
}

// grouped formats 1000000 as 1,000,000.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// upTo returns 1, 10, 100 and so on, up to most.
func upTo(most int) (points []int) {
	for n := 1; n <= most; n *= 10 {
		points = append(points, n)
	}
	return points
}

// Figures of a tick of many jobs at once.
const (
	tickTime      = "tick"     // until every replica knows about every job, by ticks
	tickCommands  = "commands" // on the server, by ticks
	replicaMemory = "replica"  // megabytes of heap and stacks, by replicas
)

func tickColumns() []column {
	return []column{
		{head: "ms", figure: burstTime, format: "%.1f"},
		{head: "us/tick", figure: tickTime, format: "%.0f"},
		{head: "client CPU us/tick", figure: clientCPU, format: "%.0f"},
		{head: "server CPU us/tick", figure: serverCPU, format: "%.0f"},
		{head: "commands/tick", figure: tickCommands, format: "%.1f"},
		{head: "lost %", figure: lostTicks, format: "%.2f"},
		{head: "MB/replica", figure: replicaMemory, format: "%.1f"},
	}
}

// jobsScenario has more and more jobs tick at the same instant on ten replicas.
func jobsScenario() scenario {
	return scenario{
		name: "jobs", nodes: 1, rounds: 3, axis: "jobs", title: "jobs that tick in the same second on 10 replicas, 1 node", columns: tickColumns(),
		note: "A replica's memory is what the measuring process has more than before, by replicas, before anything is freed.",
		entries: func(b *bench) (entries []entry) {
			most := 10000
			if b.quick {
				most = 100
			}
			for _, n := range upTo(most) {
				entries = append(entries, point(n, func() (run, error) { return b.minute(n, 10) }))
			}
			return entries
		},
	}
}

func replicasScenario() scenario {
	return scenario{
		name: "replicas", nodes: 1, rounds: 3, axis: "replicas", title: "1,000 jobs that tick in the same second, by the number of replicas, 1 node", columns: tickColumns(),
		entries: func(b *bench) (entries []entry) {
			jobs := 1000
			if b.quick {
				jobs = 100
			}
			for _, n := range []int{1, 2, 3, 5, 10} {
				entries = append(entries, point(n, func() (run, error) { return b.minute(jobs, n) }))
			}
			return entries
		},
	}
}

// minute makes each replica claim every job at once.
func (b *bench) minute(jobs, replicas int) (run, error) {
	processes, stop, err := fleet(contender{open: openRedtickGoredis}, b.usual(), replicas)
	return run{measure: func() (figures, error) {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		commands := b.nodes.usage().commands
		f, err := b.burst(fmt.Sprintf("minute:%d:%d", jobs, replicas), processes, jobs)
		if err != nil {
			return nil, err
		}
		f[tickCommands] = float64(b.nodes.usage().commands-commands) / float64(jobs)
		runtime.ReadMemStats(&after)
		f[tickTime] = f[burstTime] * 1000 / float64(jobs)
		f[replicaMemory] = (float64(after.HeapInuse+after.StackInuse) - float64(before.HeapInuse+before.StackInuse)) / 1e6 / float64(replicas)
		return f, nil
	}, stop: stop}, err
}

const megabytes = "megabytes" // on the server

// namesScenario claims ticks of more and more jobs. Each point has its own server,
// which has already granted a tick of each job.
func namesScenario() scenario {
	return scenario{
		name: "names", rounds: 9, axis: "names", title: "claim and unlock, 64 goroutines, by how many names were ever claimed, 1 node",
		columns: []column{
			{head: "us", figure: opTime, format: "%.2f"},
			{head: "client CPU us", figure: clientCPU, format: "%.2f"},
			{head: "server CPU us", figure: serverCPU, format: "%.2f"},
			{head: "allocs", figure: opAllocs},
			{head: "server MB", figure: megabytes},
		},
		entries: func(b *bench) (entries []entry) {
			most := 1000000
			if b.quick {
				most = 10000
			}
			for _, n := range upTo(most) {
				entries = append(entries, point(n, func() (run, error) { return b.claimNames(n) }))
			}
			return entries
		},
	}
}

func (b *bench) claimNames(n int) (run, error) {
	nodes, err := startServers(1)
	if err != nil {
		return run{}, err
	}
	p, err := openRedtickGoredis(setup{addrs: nodes.addrs(), ttl: defaultTTL})
	if err != nil {
		nodes.kill()
		return run{}, err
	}
	first := oldTick()
	err = spread(n, func(i int) error { return claimOnce(p, i, first) })
	used := nodes[0].memory() / 1e6
	return run{
		measure: func() (figures, error) {
			f, err := drive(nodes, load{workers: atOnce, lasts: b.slice}, func(int, int) error { return claimAnew(p, rand.IntN(n)) })
			if err == nil {
				f[megabytes] = used
			}
			return f, err
		},
		stop: func() { p.close(); nodes.kill() },
	}, err
}

func claimOnce(p process, i int, tick time.Time) error {
	release, err := claim(context.Background(), p, fmt.Sprintf("job:%d", i), tick)
	if err != nil {
		return err
	}
	return release()
}

// claimAnew claims a new tick. It is no error if another goroutine has the job or a later tick.
func claimAnew(p process, i int) error {
	if err := claimOnce(p, i, nextTick()); !errors.Is(err, errTaken) {
		return err
	}
	return nil
}

func nodesScenario() scenario {
	return scenario{
		name: "nodes", nodes: 9, rounds: 9, axis: "nodes", title: "lock and unlock, uncontended, by the number of nodes",
		columns: []column{
			{head: "us", figure: opTime},
			{head: "client CPU us", figure: clientCPU},
			{head: "server CPU us", figure: serverCPU},
			{head: "allocs", figure: opAllocs},
		},
		entries: func(b *bench) (entries []entry) {
			for n := 1; n <= len(b.nodes); n += 2 {
				entries = append(entries, point(n, func() (run, error) {
					few := &bench{slice: b.slice, nodes: b.nodes[:n]}
					p, err := openRedtickGoredis(few.usual())
					if err != nil {
						return run{}, err
					}
					r := few.pairs(grouped(n), p, 1, 16)
					r.stop = p.close
					return r, nil
				}))
			}
			return entries
		},
	}
}

func waitersScenario() scenario {
	return scenario{
		name: "waiters", nodes: 1, rounds: 5, axis: "waiters", title: "hand-over by the number of waiting processes, 1 node",
		columns: []column{
			{head: "us", figure: handoverTime, format: "%.0f"},
			{head: "least served", figure: fairness, format: "%.2f"},
			{head: "client CPU us", figure: clientCPU, format: "%.0f"},
			{head: "server CPU us", figure: serverCPU, format: "%.0f"},
		},
		entries: func(b *bench) (entries []entry) {
			for _, n := range []int{1, 3, 10, 30, 100} {
				entries = append(entries, point(n, func() (run, error) {
					processes, stop, err := fleet(contender{open: openRedtickGoredis}, b.usual(), n+1)
					return run{measure: func() (figures, error) {
						return b.handOver(fmt.Sprintf("turn:%d", n), processes)
					}, stop: stop}, err
				}))
			}
			return entries
		},
	}
}

func leasesScenario() scenario {
	return scenario{
		name: "leases", nodes: 1, rounds: 3, axis: "leases", title: "leases held and renewed, 1 node",
		columns: []column{
			{head: "goroutines", figure: grown, format: "%.0f"},
			{head: "renewals/s", figure: renewals, format: "%.0f"},
			{head: "client CPU % of a core", figure: cpuShare, format: "%.2f"},
			{head: "client CPU us/renewal", figure: renewalCPU, format: "%.2f"},
		},
		note: "The share of a core has a base of about what the measuring itself takes, which is all there is to see of few leases.",
		entries: func(b *bench) (entries []entry) {
			most := 10000
			if b.quick {
				most = 1000
			}
			for _, n := range upTo(most) {
				entries = append(entries, point(n, func() (run, error) {
					return run{measure: func() (figures, error) {
						return b.hold(b.nodes, contender{open: openRedtickGoredis}, n)
					}, stop: runtime.GC}, nil
				}))
			}
			return entries
		},
	}
}

// Figures in round trips: the time of a call divided by that of a PING to the same address.
const (
	tripsTry    = "trips_trylock"
	tripsUnlock = "trips_unlock"
	tripsClaim  = "trips_claim"
	tripsFinish = "trips_finish"
	tripsLosing = "trips_losing"
)

// latencyScenario measures how many round trips calls take.
func latencyScenario() scenario {
	return scenario{
		name: "latency", nodes: 5, rounds: 3, axis: "round trip in ms", title: "how many round trips a call waits for, 5 nodes behind a delay",
		columns: []column{
			{head: "TryLock", figure: tripsTry, format: "%.2f"},
			{head: "Unlock", figure: tripsUnlock, format: "%.2f"},
			{head: "Claim", figure: tripsClaim, format: "%.2f"},
			{head: "Unlock of a claim", figure: tripsFinish, format: "%.2f"},
			{head: "losing TryLock", figure: tripsLosing, format: "%.2f"},
		},
		entries: func(b *bench) (entries []entry) {
			for _, ms := range []int{1, 5, 20} {
				entries = append(entries, point(ms, func() (run, error) { return b.delayed(time.Duration(ms) * time.Millisecond) }))
			}
			return entries
		},
	}
}

func (b *bench) delayed(trip time.Duration) (run, error) {
	addrs, stop, err := delayAll(b.nodes.addrs(), trip/2)
	if err != nil {
		return run{}, err
	}
	processes, close, err := fleet(contender{open: openRedtickGoredis}, setup{addrs: addrs, ttl: defaultTTL}, 2)
	return run{
		measure: func() (figures, error) {
			return countTrips(processes[0], processes[1], addrs[0], fmt.Sprintf("far:%v", trip))
		},
		stop: func() { close(); stop() },
	}, err
}

// countTrips makes each call several times, and returns the medians in round trips.
func countTrips(winner, loser process, addr, name string) (figures, error) {
	ctx := context.Background()
	trip, err := pingTime(addr)
	if err != nil {
		return nil, err
	}
	m := winner.mutex(name)
	times := trips{}
	for range 10 {
		var h held
		var release func() error
		err := errors.Join(
			times.note(tripsTry, trip, func() (err error) { h, err = m.try(ctx); return err }),
			times.note(tripsLosing, trip, func() error { return lost(loser.mutex(name).try(ctx)) }),
			times.note(tripsUnlock, trip, func() error { return h.unlock(ctx) }),
			times.note(tripsClaim, trip, func() (err error) { release, err = claim(ctx, winner, name, nextTick()); return err }),
			times.note(tripsFinish, trip, func() error { return release() }),
		)
		if err != nil {
			return nil, err
		}
	}
	return times.medians(), nil
}

// trips holds the times of calls in round trips.
type trips map[string][]float64

func (t trips) note(what string, trip time.Duration, call func() error) error {
	begin := time.Now()
	err := call()
	t[what] = append(t[what], float64(time.Since(begin))/float64(trip))
	return err
}

func (t trips) medians() figures {
	f := figures{}
	for what, all := range t {
		f[what] = median(all)
	}
	return f
}

// lost returns an error unless the try was refused.
func lost(_ held, err error) error {
	if !errors.Is(err, errTaken) {
		return fmt.Errorf("got %v, want taken", err)
	}
	return nil
}

// pingTime returns the median round trip to an address over an open connection.
func pingTime(addr string) (time.Duration, error) {
	c, err := dialWire(addr)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	p := &wire{conns: []*wireConn{c}}
	var times []float64
	for range 10 {
		begin := time.Now()
		p.ask(1, "PING")
		times = append(times, float64(time.Since(begin)))
	}
	return time.Duration(median(times)), nil
}
