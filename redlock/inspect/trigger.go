package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// ErrNotTriggered means that no replica began the triggered run in time.
var ErrNotTriggered = errors.New("redlock: no replica has begun it")

// Tick is a tick that a replica has claimed.
type Tick struct {
	Tick   time.Time
	Token  string
	Holder string
}

// triggerWait is how long Trigger waits for a replica to begin.
const triggerWait = 3 * time.Second

// Trigger makes the fleet run a job now, once. It asks the replicas that listen
// ([redlock.Job.OnTrigger], the adapters' WithTriggers, redtick cron), waits up to
// 3 s until one has begun, or twice as long if a node does not answer, and returns
// the tick that it runs. by, up to 256 bytes, names the caller for the replicas' logs.
//
// The run's tick is the time by the nodes' clocks, adjusted to be later than every
// remembered run and earlier than the next expected tick. No tick of the schedule
// is refused because of it, except while the run is in progress. An earlier tick
// that begins after it ([redlock.WithLateness], [redlock.WithCatchUp]) has the
// smaller fence.
//
// If the job does not run, the error matches
//   - [redlock.ErrPaused]: the job is paused;
//   - [redlock.ErrTaken]: a run is in progress, or a lock of the name is held;
//   - [ErrNotTriggered]: nobody listens, or no listener has such a job. A slow replica may still begin it;
//   - [redlock.ErrNoQuorum], or ctx's error.
func (i *Inspector) Trigger(ctx context.Context, name, by string) (Tick, error) {
	if len(by) > maxBy {
		return Tick{}, fmt.Errorf("%w: by has %d bytes, must have at most %d", redlock.ErrInvalid, len(by), maxBy)
	}
	if err := i.check(name); err != nil {
		return Tick{}, err
	}
	tick, err := i.triggerTick(ctx, name)
	if err != nil {
		return Tick{}, err
	}
	message := protocol.Trigger{Name: i.prefix + name, By: by, Tick: tick.UnixMilli()}.Encode()
	failed, listeners := i.failure("trigger", name), int64(0)
	failed.Tick = tick
	for n, r := range i.askAll(ctx, driver.Command{"PUBLISH", protocol.TriggerChannel, message}) {
		listeners = max(listeners, numberIn(r[0]))
		if r[0].Err != nil {
			failed.note(n, protocol.WithCure(r[0].Err))
		}
	}
	if err := failed.outcome(ctx); err != nil {
		return Tick{}, err
	}
	failed.Reason, failed.Detail = ErrNotTriggered, fmt.Sprintf("there are listeners, but none has claimed it within %v; is there a job of this name, with this prefix, on a replica that listens, "+
		"and can that one reach a majority of the nodes? Another run may have begun just before it; a slow replica may still begin this one", triggerWait)
	if listeners == 0 { // a Redis Cluster counts only the listeners of the server that was asked
		failed.Detail = "nobody listens for triggers on these nodes; give the services' adapter WithTriggers, and see whether one runs"
	}
	return i.awaitRun(ctx, tick, failed.Error)
}

// triggerTick returns the tick of a run that begins now, or why the job cannot run.
func (i *Inspector) triggerTick(ctx context.Context, name string) (time.Time, error) {
	info, err := i.Show(ctx, name)
	if err == nil {
		err = obstacle(info)
	}
	var runs *Runs
	if err == nil {
		runs, err = i.Runs(ctx, name)
	}
	if refusal, ok := errors.AsType[*redlock.Error](err); ok {
		refusal.Op = "trigger"
	}
	if err != nil {
		return time.Time{}, err
	}
	now := i.clock(ctx)
	if next := runs.Next; next.After(now.Add(-grace)) && !now.Before(next) {
		now = next.Add(-time.Millisecond) // next may be claimed at any moment, and must have the larger fence
	}
	newest := info.LastTick
	if len(runs.Runs) > 0 && runs.Runs[0].Tick.After(newest) {
		newest = runs.Runs[0].Tick
	}
	if !now.After(newest) {
		now = newest.Add(time.Millisecond)
	}
	if now.Truncate(time.Second).Equal(now) {
		now = now.Add(time.Millisecond) // must not be a tick of the schedule, which may be unknown
	}
	return now, nil
}

// obstacle returns why a job cannot run now, or nil.
func obstacle(info *Info) error {
	refusal := &redlock.Error{Op: "trigger", Name: info.Name, Tick: info.Tick, Holder: info.Token, Remaining: info.Remaining}
	switch {
	case info.Token != "":
		refusal.Reason, refusal.Detail = redlock.ErrTaken, "it is held, so no run can begin; repeat it when that one has ended"
	case info.Paused != nil:
		refusal.Reason, refusal.Detail = redlock.ErrPaused, info.Paused.String()+"; resume it first"
		refusal.Remaining = info.Paused.For
	default:
		return nil
	}
	return refusal
}

// clock returns the median of the nodes' clocks, against which ticks are checked, in whole milliseconds.
func (i *Inspector) clock(ctx context.Context) time.Time {
	var clocks []time.Time
	for _, r := range i.askAll(ctx, driver.Command{"TIME"}) {
		if at, err := timeIn(r[0]); err == nil {
			clocks = append(clocks, at)
		}
	}
	if len(clocks) == 0 {
		clocks = append(clocks, time.Now())
	}
	slices.SortFunc(clocks, time.Time.Compare)
	return clocks[len(clocks)/2].UTC().Truncate(time.Millisecond)
}

// awaitRun waits until one owner has claimed the tick on a majority.
func (i *Inspector) awaitRun(ctx context.Context, tick time.Time, failed *redlock.Error) (Tick, error) {
	claim := driver.Command{"HKEYS", protocol.KeysOf(i.prefix + failed.Name).Tick(tick.UnixMilli())}
	end := time.Now().Add(triggerWait)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		votes := map[string]int{}
		for _, r := range i.askAll(ctx, claim) {
			for _, token := range claimants(r[0]) {
				if votes[token]++; votes[token] == i.group.Quorum {
					return Tick{Tick: tick, Token: token, Holder: redlock.HolderOf(token)}, nil
				}
			}
		}
		switch {
		case ctx.Err() != nil:
			failed.Reason = ctx.Err()
			return Tick{}, failed
		case time.Now().After(end):
			// A run or a pause may have begun meanwhile.
			if info, err := i.Show(ctx, failed.Name); err == nil && obstacle(info) != nil {
				return Tick{}, obstacle(info)
			}
			return Tick{}, failed
		}
		rest(ctx, pause)
	}
}
