package inspect

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// What may come of a run besides the results of [redlock.Event].
const (
	// Running: the run goes on.
	Running = "running"
	// Vanished: its end was never reported and it holds the lock no longer. The
	// process died, or was cut off from the nodes until the lease had expired.
	Vanished = "vanished"
)

// Run is one run of one tick. A tick that was taken over, or retried, has more
// than one.
type Run struct {
	Tick   time.Time
	Token  string
	Holder string
	// Began is when the tick was claimed, by the replica's clock.
	Began time.Time
	// Took is how long it ran, 0 when that is not known.
	Took time.Duration
	// Result is that of [redlock.Event], or [Running] or [Vanished].
	Result string
	// Error is the beginning of the error's text.
	Error string
}

// Runs is a job's history.
type Runs struct {
	Name string
	// Schedule is what the newest run said of it, in words.
	Schedule string
	// Next is the tick that follows the newest one, or the zero time when that is not known. Where a pause had that one
	// skipped, it is the first one after the pause, going by the interval of the ticks, or where those differ, by when
	// that one is due at the latest.
	Next time.Time
	// Paused is the job's pause, or nil.
	Paused *Pause
	// Runs are the newest first.
	Runs []Run
}

// grace is what clocks, links and [redlock.WithSpread] may delay a run by.
const grace = 10 * time.Second

// Overdue is for how long the next tick should have been run, or 0. A job that
// runs or is paused is not overdue.
func (r *Runs) Overdue(now time.Time) time.Duration {
	if r.Paused != nil {
		return 0
	}
	return r.overdue(now)
}

func (r *Runs) overdue(now time.Time) time.Duration {
	late := now.Sub(r.Next)
	if r.Next.IsZero() || late <= grace || len(r.Runs) > 0 && r.Runs[0].Result == Running {
		return 0
	}
	return late
}

// Runs returns what the nodes remember of a job's runs; see
// [redlock.WithHistory]. The error matches [redlock.ErrNoQuorum] when no majority
// answered; what is known is returned all the same.
func (i *Inspector) Runs(ctx context.Context, name string) (*Runs, error) {
	lock := i.prefix + name
	keys := protocol.KeysOf(lock)
	failed := &redlock.Error{Op: "runs", Name: name, Reason: redlock.ErrNoQuorum}
	noted := map[string]protocol.Record{}
	held := map[string]int{}
	var pauses pauses
	for n, r := range i.askAll(ctx, tokenOf(lock), driver.Command{"ZRANGE", keys.Runs, "0", "-1"},
		driver.Command{"GET", keys.Pause}, driver.Command{"PTTL", keys.Pause}, driver.Command{"GET", keys.Resumed}) {
		token, err := textIn(r[0])
		if err = cmp.Or(err, r[1].Err); err != nil && !pipeline.IsWrongType(err) {
			failed.Nodes = append(failed.Nodes, &redlock.NodeError{Node: i.group.Pipelines[n].Name(), Err: err})
			continue
		}
		held[token]++
		pauses.add(r[2], r[3])
		pauses.ends = append(pauses.ends, numberIn(r[4]))
		note(noted, r[1])
	}
	runs := i.history(name, noted, held)
	runs.Paused, runs.Next = pauses.agreed(i), after(pauses.end(i), runs.Next, noted)
	return runs, i.outcome(ctx, failed)
}

// after is the next tick to expect where a pause lasted until end. The schedule is not known here, only the intervals of its ticks.
func after(end, next time.Time, noted map[string]protocol.Record) time.Time {
	shortest, longest := time.Duration(math.MaxInt64), time.Millisecond
	for _, r := range noted {
		if interval := protocol.Lifetime(r.Next - r.Tick()); interval > 0 {
			shortest, longest = min(shortest, interval), max(longest, interval)
		}
	}
	switch {
	case next.IsZero() || next.After(end):
		return next
	case shortest < longest:
		return end.Add(longest)
	}
	return next.Add((end.Sub(next)/longest + 1) * longest)
}

// note adds the records of a reply; that of a run's end stands over that of its beginning.
func note(noted map[string]protocol.Record, r driver.Reply) {
	members, _ := r.Value.([]any)
	for k := range members {
		if record, ok := protocol.DecodeRecord(protocol.Text(members, k)); ok && noted[record.Token].Result == "" {
			noted[record.Token] = record
		}
	}
}

// history merges what the nodes noted: a run's end, wherever it is known, says more than its beginning.
func (i *Inspector) history(name string, noted map[string]protocol.Record, held map[string]int) *Runs {
	all := &Runs{Name: name}
	newest := protocol.Record{}
	for token, r := range noted {
		if r.Tick() > newest.Tick() {
			newest = r
		}
		switch {
		case r.Result == "" && held[token] >= i.group.Quorum:
			r.Result = Running
		case r.Result == "":
			r.Result = Vanished
		}
		all.Runs = append(all.Runs, Run{Tick: protocol.Instant(r.Tick()), Token: token, Holder: redlock.HolderOf(token),
			Began: time.UnixMilli(r.Began).UTC(), Took: r.Took, Result: r.Result, Error: r.Error})
	}
	slices.SortFunc(all.Runs, func(a, b Run) int {
		return cmp.Or(b.Tick.Compare(a.Tick), b.Began.Compare(a.Began), cmp.Compare(a.Token, b.Token))
	})
	all.Schedule, all.Next = newest.Schedule, protocol.Instant(newest.Next)
	return all
}

// Forget deletes what the nodes remember of a job that is gone from the code:
// its runs, its newest tick and fence, and that it is paused. Keys of single
// ticks stay until the retention has passed. It takes effect on every node that
// answers; the error, as that of [Inspector.Resume], lists the others. Do not
// forget a job that replicas still run: under [redlock.WithTakeover] its newest
// tick could be run again.
func (i *Inspector) Forget(ctx context.Context, name string) error {
	keys := protocol.KeysOf(i.prefix + name)
	return i.everywhere(ctx, i.execute(ctx, "forget", name, driver.Command{"DEL", keys.Runs, keys.Last, keys.Fence, keys.Pause, keys.Resumed}))
}
