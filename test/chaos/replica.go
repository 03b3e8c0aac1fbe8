package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	setupVariable = "REDTICK_CHAOS_REPLICA" // makes this program a replica
	grid          = time.Second             // of the ticks
	patience      = 3 * time.Second         // of who waits for a lock
	exitUnpaid    = 3                       // the status of a replica that could not give everything back
	closeLimit    = 8 * time.Second         // nodes that hung are asked again at least every 2 s
)

// replica is one process of the service under test.
type replica struct {
	setup
	locker locker
	log    *recorder
}

// replicaMain runs until SIGTERM, then releases everything.
func replicaMain(text string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	r := &replica{}
	if err := json.Unmarshal([]byte(text), &r.setup); err != nil {
		return err
	}
	var err error
	if r.log, err = newRecorder(r.Dir, r.Process); err != nil {
		return err
	}
	if r.locker, err = r.open(); err != nil {
		return err
	}
	r.work(ctx)
	closing, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if err := r.locker.close(closing); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitUnpaid)
	}
	return nil
}

func (r *replica) work(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { watchStalls(ctx, r.log) })
	for i, name := range []string{fencedLock, plainLock} {
		for k := range 2 {
			all.Go(func() { r.hammer(ctx, name, r.random(10*i+k)) })
		}
	}
	all.Go(func() {
		r.follow(ctx, shortJob, r.random(20), func(rng *rand.Rand) time.Duration { return below(rng, 20*time.Millisecond) })
	})
	all.Go(func() {
		r.follow(ctx, longJob, r.random(21), func(rng *rand.Rand) time.Duration { return below(rng, 3*r.TTL) })
	})
	all.Wait()
}

func (r *replica) random(worker int) *rand.Rand {
	return rand.New(rand.NewPCG(r.Seed, uint64(worker)))
}

// hammer acquires and releases a lock until ctx ends. A holder works for some
// milliseconds, sometimes for longer than the TTL.
func (r *replica) hammer(ctx context.Context, name string, rng *rand.Rand) {
	for ctx.Err() == nil {
		op, length := "lock", below(rng, 40*time.Millisecond)
		if rng.IntN(3) == 0 {
			op = "try"
		}
		if rng.IntN(40) == 0 {
			length = r.TTL + below(rng, r.TTL)
		}
		r.run(ctx, op, name, time.Time{}, length)
		sleep(ctx, 20*time.Millisecond+below(rng, 200*time.Millisecond))
	}
}

// follow claims every tick of a job by this replica's clock. It claims ticks that it
// was stopped for late.
func (r *replica) follow(ctx context.Context, job string, rng *rand.Rand, length func(*rand.Rand) time.Duration) {
	wall := func() time.Time { return time.Now().Add(r.Offset) }
	for tick := wall().Truncate(grid).Add(grid); ; tick = tick.Add(grid) {
		sleep(ctx, tick.Sub(wall()))
		if ctx.Err() != nil {
			return
		}
		r.run(ctx, "claim", job, tick, length(rng))
	}
}

// run acquires, works and releases, and records all three.
func (r *replica) run(ctx context.Context, op, name string, tick time.Time, length time.Duration) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e := event{Op: op, Name: name, Call: now()}
	if !tick.IsZero() {
		e.Tick = tick.UnixMilli()
	}
	l, err := r.locker.acquire(asking, op, name, tick)
	e.At = now()
	if err != nil {
		e.Kind, e.Text = refused, r.locker.reason(err)
		if asking.Err() != nil {
			e.Text = "gave up"
		}
		r.log.put(e)
		return
	}
	e.Kind, e.Token, e.Fence, e.Until = granted, l.token(), l.fence(), instantOf(l.until())
	r.log.put(e)
	worked := r.increment(ctx, l, name, length)
	// Recorded first: a process that is killed while it unlocks may have unlocked.
	r.log.put(event{Kind: ended, Name: name, Token: e.Token, Call: worked, At: now(), Until: instantOf(l.until())})
	if err := l.unlock(ctx); err != nil {
		r.log.put(event{Kind: kept, Name: name, Token: e.Token, At: now(), Text: r.locker.reason(err)})
	}
}

// increment does the work: it reads the number, waits, and writes the next one. It
// returns when the wait was over.
func (r *replica) increment(ctx context.Context, l lease, name string, length time.Duration) (worked instant) {
	file, fence := newResource(r.Dir, name), l.fence()
	e := event{Kind: stopped, Name: name, Token: l.token(), Fence: fence}
	seen, ok, err := file.read(fence)
	if err == nil && ok {
		r.hold(ctx, l, name, length)
		worked = now()
		// With a fence the resource itself refuses a writer that is too late, so nothing is checked here. Without
		// one this is all that a holder can do: a pause between here and the write goes unnoticed.
		if fence == 0 && !time.Now().Before(l.until()) {
			return worked
		}
		var found content
		found, ok, err = file.write(content{seen.Value + 1, fence, l.token()})
		e.At, e.Until, e.Read, e.Found = now(), instantOf(l.until()), &seen, &found
	}
	if err != nil {
		panic(fmt.Errorf("the resource %s is broken: %w", name, err))
	}
	if ok {
		e.Kind = wrote
	}
	r.log.put(e)
	return worked
}

// hold waits until the work is done or the lease is lost. It records each renewal, so
// that a killed holder's validity is known.
func (r *replica) hold(ctx context.Context, l lease, name string, length time.Duration) {
	known := l.until()
	for end := time.Now().Add(length); time.Now().Before(end) && ctx.Err() == nil; {
		select {
		case <-l.lost():
			return
		case <-ctx.Done():
		case <-time.After(min(50*time.Millisecond, time.Until(end))):
		}
		if until := l.until(); until.After(known) {
			known = until
			r.log.put(event{Kind: extended, Name: name, Token: l.token(), Until: instantOf(until)})
		}
	}
}

func runAsReplica() bool {
	text, is := os.LookupEnv(setupVariable)
	if !is {
		return false
	}
	if err := replicaMain(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}
