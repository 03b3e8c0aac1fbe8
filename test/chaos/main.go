// Command chaos runs replicas of a service against redis-server processes that
// are killed, frozen and cut off, and checks the history for violations of what locks,
// ticks and fences guarantee.
//
//	go run . -for 10m                  fresh faults each time
//	go run . -seed 7 -for 1s           the faults of one round again
//	go run . -locker=redsync -for 60s  the same for redsync
//
// It runs on Linux and needs redis-server in the PATH. Its exit code is 1 if it found
// a violation, and 2 if it could not run.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

func main() {
	if runAsReplica() {
		return
	}
	long := flag.Duration("for", 10*time.Minute, "how long to go on; a round that was begun is finished")
	seed := flag.Uint64("seed", rand.Uint64N(1_000_000), "of the first round; each further round has the next one")
	ttl := flag.Duration("ttl", 2*time.Second, "of the locks")
	locker := flag.String("locker", "redtick", "redtick or redsync")
	failFast := flag.Bool("failfast", false, "end with the first round that finds a violation")
	verbose := flag.Bool("v", false, "print the faults and keep the histories, not only where a violation was found")
	flag.Parse()
	if *locker != "redtick" && *locker != "redsync" {
		fmt.Fprintf(os.Stderr, "chaos: -locker is %q, must be redtick or redsync\n", *locker)
		os.Exit(2)
	}
	sum, err := run(*long, round{seed: *seed, ttl: *ttl, locker: *locker}, *failFast, *verbose)
	report(os.Stdout, sum)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	case len(sum.found) > 0:
		os.Exit(1)
	}
}

// run plays rounds until the time is up.
func run(long time.Duration, first round, failFast, verbose bool) (tally, error) {
	sum := newTally()
	for begin := time.Now(); ; first.seed++ {
		r := first
		if err := r.play(); err != nil {
			return sum, fmt.Errorf("seed %d: %w", r.seed, err)
		}
		t := check(r.past)
		sum.add(t, fmt.Sprintf("seed %d", r.seed))
		sum.counts["rounds"]++
		announce(os.Stdout, r, t, verbose)
		if len(t.found) == 0 && !verbose {
			os.RemoveAll(r.dir)
		}
		if time.Since(begin)+roundTime > long || failFast && len(t.found) > 0 {
			return sum, nil
		}
	}
}
