package redlock_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redtick/redtick/redlock"
)

// mode is what the replicas of a simulated fleet do.
type mode string

var modes = []mode{"lock", "fence", "claim", "any order", "take-over", "spacing", "elector"}

// weather is how bad the faults are.
type weather int

const (
	calm     weather = iota // delays only
	minority                // whatever happens, happens to the same minority of the servers
	refusals                // servers answer with errors now and then, and nothing is lost
	storm                   // everything
)

// plan is all that a seed decides before anything happens.
type plan struct {
	seed     uint64
	mode     mode
	weather  weather
	servers  int
	replicas int
	ttl      time.Duration
	period   time.Duration // from tick to tick
	ticks    int
	guard    bool
	forgets  bool // servers lose their data: only under the guard
	brief    bool // the retention is short
	renewal  bool
	pauses   bool          // an operator pauses the job
	lateness time.Duration // for how long a claim without a quorum is repeated
	delay    time.Duration // each way of each batch takes up to this
	faults   []fault
}

// stream is a source of randomness for one subject: what one draws does not change what another does.
func stream(seed uint64, subject string) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, b := range []byte(subject) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed, h))
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// between is uniform, to the nanosecond: two things hardly ever happen at one instant, so their order is the seed's.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)+1))
}

func newPlan(seed uint64) *plan {
	r := stream(seed, "plan")
	p := &plan{seed: seed, mode: pick(r, modes...), weather: pick(r, calm, minority, storm, storm, refusals)}
	p.servers = pick(r, 1, 2, 3, 3, 3, 4, 5, 5, 7)
	p.replicas = 2 + min(r.IntN(8), r.IntN(8))
	p.ttl = pick(r, 100*time.Millisecond, 300*time.Millisecond, time.Second, 3*time.Second)
	if p.weather == refusals {
		p.ttl *= 10 // a release that is dropped must not hide behind the end of its key
	}
	p.period = time.Duration(float64(p.ttl) * pick(r, 0.7, 1.5, 3))
	p.ticks = 3 + r.IntN(5)
	p.guard = r.IntN(4) == 0
	p.forgets = p.guard && p.weather != calm && p.weather != refusals
	p.brief = r.IntN(4) == 0 && p.mode != "any order"
	p.renewal = p.mode == "elector" || r.IntN(5) > 0
	// A tenth of the TTL is the node timeout: several trips must fit into it.
	p.delay = time.Duration(float64(p.ttl) * pick(r, 0.0005, 0.002))
	if p.weather == storm {
		p.delay = time.Duration(float64(p.ttl) * pick(r, 0.0005, 0.005, 0.02, 0.06))
	}
	p.faults = newFaults(p)
	p.pauses = slices.Contains([]mode{"claim", "any order", "take-over", "spacing"}, p.mode) && !p.forgets && stream(seed, "pauses").IntN(3) == 0
	if slices.Contains([]mode{"claim", "any order", "spacing"}, p.mode) && stream(seed, "lateness").IntN(3) == 0 {
		p.lateness = min(p.period, p.ttl) // less than the shortest retention
	}
	return p
}

func (p *plan) String() string {
	text := fmt.Sprintf("seed %d: %s, %s, %d servers, %d replicas, ttl %v, %d ticks every %v, delay up to %v, guard %v, brief %v, renewal %v, pauses %v, lateness %v",
		p.seed, p.mode, [...]string{"calm", "minority", "refusals", "storm"}[p.weather], p.servers, p.replicas, p.ttl, p.ticks, p.period, p.delay, p.guard, p.brief, p.renewal, p.pauses, p.lateness)
	for i, f := range p.faults {
		text += fmt.Sprintf("\n\tfault %d: %v", i, f)
	}
	return text
}

// length is how long the replicas are busy, roughly.
func (p *plan) length() time.Duration {
	if p.mode == "lock" || p.mode == "fence" {
		return time.Duration(p.ticks*p.replicas) * p.ttl / 2
	}
	return lead + time.Duration(p.ticks)*p.period
}

// lead is how long the first tick is away, so that it may be asked for early.
const lead = 300 * time.Millisecond

// skew bounds the offsets of the servers' clocks, and how early a tick may be asked for. Where a tick's fate depends on
// the servers' clocks it is small.
func (p *plan) skew() time.Duration {
	if p.mode == "fence" && p.forgets {
		return p.ttl / 4 // a counter that is lost on all servers starts anew at a server's clock, a TTL later
	}
	if p.guard || p.brief {
		return 200 * time.Millisecond
	}
	return 20 * time.Second
}

// options are the same for all replicas.
func (p *plan) options() []redlock.LockerOption {
	opts := []redlock.LockerOption{redlock.WithTTL(p.ttl), redlock.WithHistory(1000), redlock.WithLateness(p.lateness)}
	if p.guard {
		opts = append(opts, redlock.WithRestartGuard(p.ttl), redlock.WithMaxSkew(time.Second))
	}
	if p.brief {
		opts = append(opts, redlock.WithRetention(max(time.Second, 2*p.ttl)))
	}
	if !p.renewal {
		opts = append(opts, redlock.WithoutRenewal())
	}
	switch p.mode {
	case "fence":
		opts = append(opts, redlock.WithFencing())
	case "any order":
		opts = append(opts, redlock.WithAnyOrder())
	case "take-over":
		opts = append(opts, redlock.WithTakeover())
	case "spacing":
		opts = append(opts, redlock.WithSpacing(p.spacing()))
	}
	return opts
}

// spacing is in whole milliseconds, as ticks are.
func (p *plan) spacing() time.Duration { return (p.period * 9 / 10).Truncate(time.Millisecond) }
