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

// Results of a [Run] besides those of [redlock.Event].
const (
	// Running means that the run has not ended.
	Running = "running"
	// Vanished means that the run no longer holds the lock, but never reported its
	// end: the process died, or was cut off from the nodes until the lease expired.
	Vanished = "vanished"
)

// Run is one run of one tick. A tick that was taken over or retried has several.
type Run struct {
	Tick   time.Time
	Token  string
	Holder string
	// Began is when the tick was claimed, by the replica's clock.
	Began time.Time
	// Took is how long it ran, or 0 if unknown.
	Took time.Duration
	// Result is a result of [redlock.Event], [Running] or [Vanished].
	Result string
	// Error is the beginning of the error's text.
	Error string
}

// WentWrong reports whether the run failed, panicked, was lost or vanished.
func (r *Run) WentWrong() bool {
	return slices.Contains([]string{"failed", "panicked", "lost", Vanished}, r.Result)
}

// Runs is a job's history.
type Runs struct {
	Name string
	// Schedule describes the schedule, as the newest run recorded it.
	Schedule string
	// Next is the tick after the newest one, or the zero time if unknown. If a pause or the newest run skipped that
	// tick, Next is the first one after that, estimated from the interval of the ticks; if intervals differ, it is the
	// latest time at which that tick is due.
	Next time.Time
	// Paused is the job's pause, or nil.
	Paused *Pause
	// Runs lists the runs, newest first.
	Runs []Run
}

// LastEnded returns the newest run that has ended, or nil.
func (r *Runs) LastEnded() *Run {
	if n := slices.IndexFunc(r.Runs, func(run Run) bool { return run.Result != Running }); n >= 0 {
		return &r.Runs[n]
	}
	return nil
}

// grace is how much clocks, links and [redlock.WithSpread] may delay a run.
const grace = 10 * time.Second

// Overdue returns how long ago the next tick should have run, or 0 if that is at
// most 10 s. A job that is running or paused is not overdue.
func (r *Runs) Overdue(now time.Time) time.Duration {
	late := now.Sub(r.Next)
	if r.Paused != nil || r.Next.IsZero() || late <= grace || len(r.Runs) > 0 && r.Runs[0].Result == Running {
		return 0
	}
	return late
}

// Runs returns the runs of a job that the nodes remember; see
// [redlock.WithHistory]. The error matches [redlock.ErrNoQuorum] when no majority
// answered; Runs then still returns what is known.
func (i *Inspector) Runs(ctx context.Context, name string) (*Runs, error) {
	lock := i.prefix + name
	keys := protocol.KeysOf(lock)
	failed := i.failure("runs", name)
	records := map[string]protocol.Record{}
	held := map[string]int{}
	var pauses pauses
	for n, r := range i.askAll(ctx, tokenOf(lock), driver.Command{"ZRANGE", keys.Runs, "0", "-1"},
		driver.Command{"GET", keys.Pause}, driver.Command{"PTTL", keys.Pause}, driver.Command{"GET", keys.Resumed}) {
		token, err := textIn(r[0])
		if err = cmp.Or(err, r[1].Err); !pipeline.Executed(err) {
			failed.note(n, err)
			continue
		}
		held[token]++
		pauses.add(r[2], r[3])
		pauses.ends = append(pauses.ends, numberIn(r[4]))
		addRecords(records, r[1])
	}
	runs := i.history(name, records, held)
	runs.Paused = pauses.agreed(i)
	runs.Next = after(pauses.end(i), runs.Next, records)
	if len(runs.Runs) > 0 && !runs.Next.Before(runs.Runs[0].Began) {
		runs.Next = after(runs.Runs[0].Began.Add(runs.Runs[0].Took), runs.Next, records)
	}
	return runs, failed.outcome(ctx)
}

// after returns the next tick to expect after a pause or a run that lasted until end. It knows only the intervals of the
// ticks, not the schedule.
func after(end, next time.Time, records map[string]protocol.Record) time.Time {
	shortest, longest := time.Duration(math.MaxInt64), time.Millisecond
	for _, r := range records {
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

// addRecords adds the records of a reply. The record of a run's end replaces that of its beginning.
func addRecords(records map[string]protocol.Record, r driver.Reply) {
	members, _ := r.Value.([]any)
	for k := range members {
		if record, ok := protocol.DecodeRecord(protocol.Text(members, k)); ok && records[record.Token].Result == "" {
			records[record.Token] = record
		}
	}
}

// history makes Runs of the records. A run without a recorded end is Running while a majority holds its token.
func (i *Inspector) history(name string, records map[string]protocol.Record, held map[string]int) *Runs {
	all := &Runs{Name: name}
	newest := protocol.Record{}
	for token, r := range records {
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

// Forget deletes what the nodes remember of a job that no longer exists: its runs,
// newest tick, fence and pause. Keys of single ticks stay until their retention
// ends. It takes effect on every node that answers; the error lists the others, as
// for [Inspector.Resume].
//
// Do not forget a job that replicas still run: under [redlock.WithTakeover] its
// newest tick could run again.
func (i *Inspector) Forget(ctx context.Context, name string) error {
	keys := protocol.KeysOf(i.prefix + name)
	return i.execute(ctx, "forget", name, driver.Command{"DEL", keys.Runs, keys.Last, keys.Fence, keys.Pause, keys.Resumed})
}

// States of a name, besides the results of a [Run].
const (
	// Paused is a job that is paused.
	Paused = "paused"
	// Overdue is a job whose next tick should have run; see [Runs.Overdue].
	Overdue = "overdue"
	// Waiting is a job without a remembered run.
	Waiting = "waiting"
	// Held and Free are states of names that are not jobs.
	Held = "held"
	Free = "free"
)

// State returns one word for the state of a name. For a job it is [Paused] or
// [Overdue], otherwise the result of the newest run that has ended, otherwise
// [Running] or [Waiting]. For any other name it is [Held] or [Free]. runs is nil if
// the name has no history.
func State(info *Info, runs *Runs, now time.Time) string {
	var ended *Run
	if runs != nil {
		ended = runs.LastEnded()
	}
	isJob := !info.Tick.IsZero() || !info.LastTick.IsZero() || info.LastRun != nil
	switch {
	case info.Paused != nil:
		return Paused
	case runs != nil && runs.Overdue(now) > 0:
		return Overdue
	case ended != nil:
		return ended.Result
	case runs == nil && isJob && info.Tick.IsZero():
		return "ended"
	case isJob && info.Token != "":
		return Running
	case isJob:
		return Waiting
	case info.Token != "":
		return Held
	}
	return Free
}
