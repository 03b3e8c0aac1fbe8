package redlock_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// fault is one thing that goes wrong for a while, on all links between some replicas and some servers.
type fault struct {
	kind     string
	at       time.Duration
	lasts    time.Duration
	replicas []int
	servers  []int
	code     string // what the servers answer with
}

func (f fault) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s", f.kind, f.code)) +
		fmt.Sprintf(" at %v for %v, replicas %v, servers %v", f.at, f.lasts, f.replicas, f.servers)
}

// touches reports whether the link from a replica to a server suffers it.
func (f fault) touches(replica, server int) bool {
	return slices.Contains(f.replicas, replica) && slices.Contains(f.servers, server)
}

var errReset = errors.New("read: connection reset by peer")

// newFaults chooses them; -sim.skip leaves some out of a replay.
func newFaults(p *plan) (faults []fault) {
	if p.weather == calm {
		return nil
	}
	r := stream(p.seed, "faults")
	if p.weather == refusals {
		for range 5 + r.IntN(20) {
			faults = append(faults, newRefusal(p, r))
		}
		return faults
	}
	for range 1 + r.IntN(10) {
		f := newFault(p, r)
		if f.kind == "" {
			continue
		}
		faults = append(faults, f)
	}
	return faults
}

func newFault(p *plan, r *rand.Rand) fault {
	f := fault{at: between(r, 0, p.length()), lasts: between(r, 0, p.ttl/2), servers: some(r, p.servers), replicas: some(r, p.replicas)}
	if r.IntN(3) == 0 {
		f.lasts = between(r, p.ttl/2, 3*p.ttl)
	}
	if p.weather == minority {
		f.servers = sequence((p.servers - 1) / 2)
		if len(f.servers) == 0 {
			return fault{}
		}
	}
	f.kind = pick(r, "hang", "hang", "freeze", "freeze", "flaky", "flaky", "flaky", "disconnect", "restart", "pause", "kill", "slow", "refuse", "refuse")
	switch f.kind {
	case "refuse":
		f.replicas, f.code = sequence(p.replicas), pick(r, codes...)
	case "freeze", "restart":
		f.replicas = sequence(p.replicas)
		if p.forgets && r.IntN(2) == 0 && f.kind == "restart" {
			f.kind = "forget"
		}
	case "pause", "kill":
		if p.weather == minority {
			return fault{}
		}
		f.replicas, f.servers = []int{r.IntN(p.replicas)}, sequence(p.servers)
	}
	return f
}

var codes = []string{"BUSY", "LOADING", "MISCONF", "READONLY", "OOM", "NOREPLICAS", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN"}

// newRefusal: some servers answer with an error for a while. Most are brief, so that there is somebody to unlock.
func newRefusal(p *plan, r *rand.Rand) fault {
	return fault{
		kind: "refuse", code: pick(r, codes...), at: between(r, 0, p.length()), lasts: between(r, 0, pick(r, p.ttl/20, p.ttl/4, p.ttl)),
		servers: some(r, p.servers), replicas: sequence(p.replicas),
	}
}

func sequence(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// some is a random subset that is not empty.
func some(r *rand.Rand, n int) []int {
	all := r.Perm(n)[:1+r.IntN(n)]
	slices.Sort(all)
	return all
}

// step is the beginning or the end of a fault.
type step struct {
	at  time.Duration
	run func()
}

// misbehave lets the plan's faults happen. It returns when the last has ended.
func (w *world) misbehave() {
	var steps []step
	for i, f := range w.plan.faults {
		if slices.Contains(w.skip, i) {
			continue
		}
		steps = append(steps,
			step{f.at, func() { w.record(-1, "begins: %v", f); w.begin(f) }},
			step{f.at + f.lasts, func() { w.record(-1, "ends: %v", f); w.finish(f) }})
		if w.plan.weather == refusals {
			steps = append(steps, step{f.at + f.lasts + w.plan.resent(), func() { w.checkReleased(f) }})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.at - b.at) })
	for _, s := range steps {
		time.Sleep(time.Until(w.start.Add(s.at)))
		s.run()
	}
}

func (w *world) begin(f fault) {
	switch f.kind {
	case "freeze":
		for _, s := range f.servers {
			w.servers[s].Freeze()
		}
		return
	case "refuse":
		for _, s := range f.servers {
			w.servers[s].Answer(f.code)
		}
		return
	case "restart", "forget":
		for _, s := range f.servers {
			w.stagger()
			if f.kind == "forget" {
				w.servers[s].Restart()
			} else {
				w.servers[s].RestartWithData()
			}
		}
		return
	case "kill":
		w.replicas[f.replicas[0]].kill()
	}
	w.each(f, func(l *link) {
		w.stagger()
		switch f.kind {
		case "hang", "pause", "kill":
			l.hangs++
		case "flaky":
			l.flaky++
		case "slow":
			l.node.Delay(l.low, l.high+w.plan.ttl/8)
		case "disconnect":
			l.node.Disconnect()
		}
		l.settle()
	})
}

// stagger keeps two links from breaking at one instant: what a replica hears first is the seed's.
func (w *world) stagger() { time.Sleep(between(w.luck, 1, 20*time.Microsecond)) }

func (w *world) finish(f fault) {
	switch f.kind {
	case "freeze":
		for _, s := range f.servers {
			w.servers[s].Thaw()
		}
	case "refuse":
		for _, s := range f.servers {
			w.servers[s].Answer("")
		}
	case "hang", "pause":
		w.each(f, func(l *link) { l.hangs--; l.settle() })
	case "flaky":
		w.each(f, func(l *link) { l.flaky--; l.settle() })
	case "slow":
		w.each(f, func(l *link) { l.node.Delay(l.low, l.high) })
	}
}

func (w *world) each(f fault, do func(*link)) {
	for _, r := range f.replicas {
		for _, s := range f.servers {
			do(w.replicas[r].links[s])
		}
	}
}

// link is one replica's way to one server, and how many faults it suffers.
type link struct {
	node      *redlocktest.Node
	random    *rand.Rand
	ttl       time.Duration
	low, high time.Duration
	deaf      bool // the client ignores deadlines, and waits for an answer for a TTL
	hangs     int
	flaky     int
	copied    sync.Map // the words of commands whose answer came, and a copy of which was executed later
}

func (l *link) settle() {
	if l.hangs > 0 {
		l.node.Hang()
		return
	}
	l.node.Heal()
	if l.flaky > 0 {
		l.node.OnBatch(l.fault)
	}
}

// fault is what happens to one batch on a flaky link: it is lost, its answer is lost, the connection breaks before or
// after it was executed, it is executed twice, or it is late.
func (l *link) fault(commands []driver.Command) redlocktest.Fault {
	r := l.random
	switch r.IntN(10) {
	case 0:
		return redlocktest.Fault{DropRequest: true}
	case 1:
		return redlocktest.Fault{DropReply: true}
	case 2:
		return redlocktest.Fault{Err: errReset}
	case 3:
		return redlocktest.Fault{Err: errReset, DropReply: true}
	case 4:
		for _, word := range slices.Concat(commands...) {
			l.copied.Store(word, true)
		}
		return redlocktest.Fault{Again: between(r, 1, l.ttl/2)}
	case 5:
		return redlocktest.Fault{Err: errReset, DropReply: true, Again: between(r, 1, 2*l.ttl)}
	case 6:
		return redlocktest.Fault{Delay: between(r, 0, l.ttl/4)}
	}
	return redlocktest.Fault{}
}
