package redlock_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A seed decides everything about a fleet, its faults and its luck, in fake time; the history is held against the
// guarantees. Some seeds are run by every `go test`; REDTICK_SOAK=2h goes on with others for so long.

var (
	simSeed = flag.Uint64("sim.seed", 0, "simulate this seed alone and print its history")
	simSkip = flag.String("sim.skip", "", "leave out these faults of the seed, such as 0,3")
)

const (
	simSeeds     = 2000
	simSeedsRace = 150
	simRepeated  = 100
)

func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		w := simulate(t, *simSeed, parseSkip(t, *simSkip))
		t.Logf("%v\n%v", w.plan, w)
		for _, v := range w.violations {
			t.Error(v)
		}
		return
	}
	first, last, end := uint64(1), uint64(simSeeds), time.Time{}
	if raceDetector || testing.Short() {
		last = simSeedsRace
		t.Logf("%d of %d seeds: the race detector is on, or -short is", last, simSeeds)
	}
	if soak := os.Getenv("REDTICK_SOAK"); soak != "" {
		d := must[time.Duration](t)(time.ParseDuration(soak))
		// Other seeds in each soak; the failing one is printed.
		first, last, end = uint64(time.Now().Unix())<<20, ^uint64(0), time.Now().Add(d)
	}
	simulateAll(t, first, last, end)
}

func simulateAll(t *testing.T, first, last uint64, end time.Time) {
	var next, done, failed atomic.Uint64
	next.Store(first)
	begin := time.Now()
	t.Run("seeds", func(t *testing.T) {
		for i := range 4 {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				for failed.Load() < 5 && (end.IsZero() || time.Now().Before(end)) {
					seed := next.Add(1) - 1
					if seed > last {
						return
					}
					if !sound(t, seed) {
						failed.Add(1)
					}
					done.Add(1)
				}
			})
		}
	})
	t.Logf("%d seeds from %d on in %v, %d failed", done.Load(), first, time.Since(begin).Round(time.Second), failed.Load())
}

// sound runs a seed. A failure is printed with the fewest faults it needs.
func sound(t *testing.T, seed uint64) bool {
	w := simulate(t, seed, nil)
	if len(w.violations) == 0 {
		return true
	}
	w, skip := shrink(t, w)
	t.Errorf("%v\nwithout the faults %v:\n%s\n%s", w.plan, skip, strings.Join(w.violations, "\n"), replay(seed, skip))
	return false
}

// shrink leaves out one fault after the other as long as the guarantees are still violated.
func shrink(t *testing.T, w *world) (*world, []int) {
	var skip []int
	for i := range w.plan.faults {
		tried := append(slices.Clone(skip), i)
		if smaller := simulate(t, w.plan.seed, tried); len(smaller.violations) > 0 {
			w, skip = smaller, tried
		}
	}
	return w, skip
}

func replay(seed uint64, skip []int) string {
	command := fmt.Sprintf("replay: go test ./redlock -v -run 'TestSimulation$' -sim.seed=%d", seed)
	if len(skip) > 0 {
		command += " -sim.skip=" + strings.Trim(strings.Join(strings.Fields(fmt.Sprint(skip)), ","), "[]")
	}
	return command
}

func parseSkip(t *testing.T, text string) (skip []int) {
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		skip = append(skip, must[int](t)(strconv.Atoi(field)))
	}
	return skip
}

// The same seed is the same history, to the nanosecond. What happens at one instant on one replica is the scheduler's to
// order, so a few seeds have many histories; where chance has a hand in, all have.
func TestSimulation_repeats(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes the scheduler random")
	}
	if seededJitter(nil, nil) == nil {
		t.Skip("the core's pauses cannot be seeded")
	}
	many := 0
	for seed := uint64(1); seed <= simRepeated; seed++ {
		seen := map[uint64]bool{}
		a := simulate(t, seed, nil)
		var b *world
		for len(seen) < 6 && !seen[a.sum()] {
			seen[a.sum()] = true
			a, b = simulate(t, seed, nil), a
		}
		if !seen[a.sum()] {
			many++
			t.Logf("seed %d has many histories: %s", seed, firstDifference(a, b))
		}
	}
	if many > simRepeated/20 {
		t.Errorf("%d of %d seeds have many histories", many, simRepeated)
	}
}

func firstDifference(a, b *world) string {
	ours, theirs := a.sorted(), b.sorted()
	for i := range min(len(ours), len(theirs)) {
		if ours[i] != theirs[i] {
			return fmt.Sprintf("%v and %v (event %d)", ours[i], theirs[i], i)
		}
	}
	return fmt.Sprintf("%d and %d events", len(ours), len(theirs))
}
