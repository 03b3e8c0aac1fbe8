//go:build unix

package compat_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
)

const (
	replicas = 3
	period   = time.Second
)

// jobs has two jobs for each master of a Cluster, by hash tag.
var jobs = []string{"{a}archive", "{a}billing", "{b}cleanup", "{b}digest", "{c}export", "{c}fetch"}

// fleet holds the replicas that use one client.
type fleet struct {
	client string

	mu   sync.Mutex
	runs map[run][]time.Time // when it was granted
	errs map[run][]error

	stop chan struct{}
	done sync.WaitGroup
}

type run struct {
	job  string
	tick int64
}

// claimer claims a tick of a job. release ends the claim.
type claimer func(ctx context.Context, tick time.Time) (release func(), err error)

// replica returns the claimers of one replica, which has its own client.
type replica func(t testing.TB, client string) map[string]claimer

// startFleet begins with the next tick.
func startFleet(t *testing.T, client string, one replica) *fleet {
	t.Helper()
	f := &fleet{client: client, runs: map[run][]time.Time{}, errs: map[run][]error{}, stop: make(chan struct{})}
	for range replicas {
		for name, claim := range one(t, client) {
			f.done.Go(func() { f.schedule(t, claim, name) })
		}
	}
	return f
}

// onNode returns a replica that uses redtick.
func onNode(connect func(t testing.TB) driver.Node) replica {
	return func(t testing.TB, client string) map[string]claimer {
		locker, err := redlock.New([]driver.Node{connect(t)}, redlock.WithPrefix(client+":"), redlock.WithObserver(func(redlock.Event) {}))
		if err != nil {
			t.Fatal(err)
		}
		claimers := map[string]claimer{}
		for _, name := range jobs {
			job, err := locker.NewJob(name)
			if err != nil {
				t.Fatal(err)
			}
			claimers[name] = func(ctx context.Context, tick time.Time) (func(), error) {
				lease, err := job.Claim(ctx, tick)
				if err != nil {
					return nil, err
				}
				return func() { _ = lease.Unlock(ctx) }, nil
			}
		}
		return claimers
	}
}

// schedule claims each tick once, as a scheduler does. A claim that takes
// longer than a period does not delay the next.
func (f *fleet) schedule(t *testing.T, claim claimer, name string) {
	var claims sync.WaitGroup
	defer claims.Wait()
	for tick := time.Now().Truncate(period).Add(period); ; tick = tick.Add(period) {
		select {
		case <-f.stop:
			return
		case <-time.After(time.Until(tick)):
			claims.Go(func() { f.claim(t, claim, run{name, tick.Unix()}) })
		}
	}
}

func (f *fleet) claim(t *testing.T, claim claimer, r run) {
	release, err := claim(t.Context(), time.Unix(r.tick, 0))
	f.mu.Lock()
	if err == nil {
		f.runs[r] = append(f.runs[r], time.Now())
	} else {
		f.errs[r] = append(f.errs[r], err)
	}
	f.mu.Unlock()
	if err == nil {
		release()
	}
}

// recovered reports whether every job of every fleet was granted a tick after
// the servers were well.
func recovered(fleets []*fleet, well time.Time) bool {
	for _, f := range fleets {
		granted := map[string]bool{}
		f.mu.Lock()
		for r, at := range f.runs {
			granted[r.job] = granted[r.job] || len(at) > 0 && r.tick >= well.Unix()
		}
		f.mu.Unlock()
		for _, job := range jobs {
			if !granted[job] {
				return false
			}
		}
	}
	return true
}

// end stops fleets at the same tick, and waits for their claims.
func end(fleets []*fleet) {
	for _, f := range fleets {
		close(f.stop)
	}
	for _, f := range fleets {
		f.done.Wait()
	}
}

// outcome is a line of the table.
type outcome struct {
	topology, fault, client string
	ticks, lost, twice      int
	others                  int            // lost for jobs whose own servers were well
	well, back              time.Duration  // after the fault: the servers, all jobs
	reasons                 map[string]int // of lost ticks
}

// outcome evaluates the ticks from the one before the fault. spared reports the jobs
// that the fault does not affect.
func (f *fleet) outcome(failed, well time.Time, spared func(job string) bool) outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := outcome{client: f.client, well: well.Sub(failed), reasons: map[string]int{}}
	for r := range f.errs {
		if _, ok := f.runs[r]; !ok {
			f.runs[r] = nil
		}
	}
	lastLost := map[string]int64{}
	for r, granted := range f.runs {
		o.ticks++
		switch {
		case len(granted) > 1:
			o.twice++
		case len(granted) == 0:
			o.lost++
			lastLost[r.job] = max(lastLost[r.job], r.tick)
			reason := cause(f.errs[r])
			// A Cluster refuses all writes while a slot has no owner.
			if spared(r.job) && !strings.HasPrefix(reason, "CLUSTERDOWN The cluster") && !strings.HasPrefix(reason, "CLUSTERDOWN Hash slot") {
				o.others++
			}
			o.reasons[fmt.Sprintf("%s: %.150s", r.job, reason)]++
		}
	}
	for job, tick := range lastLost {
		o.back = max(o.back, f.grantedAfter(job, tick).Sub(failed))
	}
	return o
}

// cause returns the node's error in a refused claim.
func cause(errs []error) string {
	if len(errs) == 0 {
		return "not asked"
	}
	text := errs[0].Error()
	var node *redlock.NodeError
	if errors.As(errs[0], &node) {
		text = node.Err.Error()
	}
	return text
}

// never stands for jobs that did not recover within the trial.
const never = time.Hour

// grantedAfter returns when the first tick after tick was granted.
func (f *fleet) grantedAfter(job string, tick int64) time.Time {
	next := time.Time{}
	for r, granted := range f.runs {
		if r.job == job && r.tick > tick && len(granted) > 0 && (next.IsZero() || granted[0].Before(next)) {
			next = granted[0]
		}
	}
	if next.IsZero() {
		return time.Unix(tick, 0).Add(never)
	}
	return next
}

// table prints outcomes as Markdown.
func table(outcomes []outcome) string {
	var b strings.Builder
	b.WriteString("| Topology | Fault | Client | Servers well after | All jobs granted after | Ticks lost | of them on shards that were well | Run twice |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, o := range outcomes {
		back := "none was refused"
		switch {
		case o.back >= never:
			back = "not within the trial"
		case o.lost > 0:
			back = fmt.Sprintf("%.1f s", o.back.Seconds())
		}
		others := "-"
		if o.topology == cluster {
			others = fmt.Sprint(o.others)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %.1f s | %s | %d of %d | %s | %d |\n",
			o.topology, o.fault, o.client, o.well.Seconds(), back, o.lost, o.ticks, others, o.twice)
	}
	return b.String()
}
