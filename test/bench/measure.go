package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// figures holds the results of one contender in one round, by name.
type figures map[string]float64

// The names of figures that many scenarios share. Times are in microseconds.
const (
	opTime    = "time"       // median of one operation, or elapsed time per operation when many run at once
	opWorst   = "p99"        // of one operation
	opRate    = "per_second" // operations
	clientCPU = "client_cpu" // per operation
	serverCPU = "server_cpu" // per operation, all servers together
	opAllocs  = "allocs"     // per operation
	opBytes   = "bytes"      // allocated per operation
	depth     = "depth"      // commands per read of a server: how many callers share a packet
)

// task is one operation of one worker. The number of the operation counts per worker.
type task func(worker, i int) error

// load is how a task is driven.
type load struct {
	workers int
	lasts   time.Duration
	// enough, if not 0, ends the load after that many operations of each worker.
	enough int
}

// usage is the resource usage so far.
type usage struct {
	at      time.Time
	client  time.Duration
	server  serverUsage
	mallocs uint64
	bytes   uint64
}

func now(nodes servers) usage {
	var m runtime.MemStats
	server := nodes.usage()
	runtime.ReadMemStats(&m)
	return usage{time.Now(), processCPU(), server, m.Mallocs, m.TotalAlloc}
}

// processCPU returns the user and system time of all threads of this process.
func processCPU() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// drive runs a task and returns its cost. nodes are the servers whose CPU counts; they
// must answer.
func drive(nodes servers, l load, do task) (figures, error) {
	runtime.GC() // the garbage of the one before is not this one's
	before := now(nodes)
	end := before.at.Add(l.lasts)
	times := make([][]time.Duration, l.workers)
	errs := make([]error, l.workers)
	var all sync.WaitGroup
	for w := range l.workers {
		all.Go(func() { times[w], errs[w] = work(w, end, l.enough, do) })
	}
	all.Wait()
	elapsed := time.Since(before.at)
	time.Sleep(time.Millisecond) // what goes on in the background belongs to it
	after := now(nodes)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return summary(slices.Concat(times...), l.workers, elapsed, before, after)
}

func work(worker int, end time.Time, enough int, do task) (times []time.Duration, err error) {
	times = make([]time.Duration, 0, 1<<12)
	begin := time.Now()
	for i := 0; begin.Before(end) && (enough == 0 || i < enough); i++ {
		if err := do(worker, i); err != nil {
			return nil, err
		}
		done := time.Now()
		times = append(times, done.Sub(begin))
		begin = done
	}
	return times, nil
}

func summary(times []time.Duration, workers int, elapsed time.Duration, before, after usage) (figures, error) {
	n := len(times)
	if n == 0 {
		return nil, fmt.Errorf("no operation ended")
	}
	slices.Sort(times)
	per := func(total float64) float64 { return total / float64(n) }
	f := figures{
		opTime:    micros(times[n/2]),
		opWorst:   micros(times[min(n*99/100, n-1)]),
		opRate:    float64(n) / elapsed.Seconds(),
		clientCPU: per(micros(after.client - before.client)),
		serverCPU: per(micros(after.server.cpu - before.server.cpu)),
		depth:     (after.server.commands - before.server.commands) / (after.server.reads - before.server.reads),
		opAllocs:  per(float64(after.mallocs - before.mallocs)),
		opBytes:   per(float64(after.bytes - before.bytes)),
	}
	if workers > 1 {
		f[opTime] = per(micros(elapsed))
	}
	return f, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// pair is the operation most scenarios measure: lock and unlock.
func pair(ctx context.Context, m mutex) error {
	h, err := m.try(ctx)
	if err != nil {
		return err
	}
	return h.unlock(ctx)
}
