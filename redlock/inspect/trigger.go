package inspect

import (
	"cmp"
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

// triggerWait is how long Trigger waits for a replica to begin.
const triggerWait = 3 * time.Second

// Trigger makes the fleet run a job now, once. It asks the replicas that listen
// ([redlock.Job.OnTrigger], the adapters' WithTriggers, redtick cron), waits up to
// 3 s until one has begun, and returns the tick that it runs. by, up to 256 bytes,
// names the caller for the replicas' logs.
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
	failed := &redlock.Error{Op: "trigger", Name: name, Tick: tick, Reason: ErrNotTriggered}
	listeners := int64(0)
	for n, r := range i.askAll(ctx, driver.Command{"PUBLISH", protocol.TriggerChannel, message}) {
		listeners = max(listeners, numberIn(r[0]))
		if r[0].Err != nil {
			failed.Nodes = append(failed.Nodes, &redlock.NodeError{Node: i.group.Pipelines[n].Name(), Err: protocol.WithCure(r[0].Err)})
		}
	}
	if err := i.outcome(ctx, failed); err != nil {
		failed.Reason = cmp.Or(ctx.Err(), redlock.ErrNoQuorum)
		return Tick{}, failed
	}
	failed.Detail = fmt.Sprintf("there are listeners, but none has claimed it within %v; is there a job of this name, with this prefix, on a replica that listens, "+
		"and can that one reach a majority of the nodes? Another run may have begun just before it; a slow replica may still begin this one", triggerWait)
	if listeners == 0 { // a Redis Cluster counts only the listeners of the server that was asked
		failed.Detail = "nobody listens for triggers on these nodes; give the services' adapter WithTriggers, and see whether one runs"
	}
	return i.awaitRun(ctx, name, tick, failed)
}

// triggerTick returns the tick of a run that begins now, or why the job cannot run.
func (i *Inspector) triggerTick(ctx context.Context, name string) (time.Time, error) {
	info, err := i.Show(ctx, name)
	if err == nil {
		err = i.obstacle(info)
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
func (i *Inspector) obstacle(info *Info) error {
	refusal := &redlock.Error{Name: info.Name, Tick: info.Tick, Holder: info.Token, Remaining: info.Remaining}
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

// String returns who paused the job, for how long and why.
func (p *Pause) String() string {
	text := "until it is resumed"
	if p.For > 0 {
		text = "for another " + p.For.Round(time.Millisecond).String()
	}
	return protocol.PauseText(text, p.By, p.Why)
}

// clock returns the median of the nodes' clocks, against which ticks are checked, in whole milliseconds.
func (i *Inspector) clock(ctx context.Context) time.Time {
	var clocks []int64
	for _, r := range i.askAll(ctx, driver.Command{"TIME"}) {
		if fields, _ := r[0].Value.([]any); r[0].Err == nil && len(fields) == 2 {
			clocks = append(clocks, protocol.Number(fields, 0)*1000+protocol.Number(fields, 1)/1000)
		}
	}
	if len(clocks) == 0 {
		return time.Now().Truncate(time.Millisecond)
	}
	slices.Sort(clocks)
	return protocol.Instant(clocks[len(clocks)/2])
}

// awaitRun waits until one owner has claimed the tick on a majority.
func (i *Inspector) awaitRun(ctx context.Context, name string, tick time.Time, failed *redlock.Error) (Tick, error) {
	keys := protocol.KeysOf(i.prefix + name)
	end := time.Now().Add(triggerWait)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		for _, claimed := range i.claimed(ctx, keys, []int64{tick.UnixMilli()}, &redlock.Error{}) {
			return claimed, nil
		}
		if err := ctx.Err(); err != nil {
			failed.Reason = err
			return Tick{}, failed
		}
		if time.Now().After(end) {
			return Tick{}, i.whyNot(ctx, name, failed)
		}
		rest(ctx, pause)
	}
}

// whyNot checks again for an obstacle: a run or a pause may have begun meanwhile.
func (i *Inspector) whyNot(ctx context.Context, name string, failed *redlock.Error) error {
	if info, err := i.Show(ctx, name); err == nil {
		if refusal, ok := errors.AsType[*redlock.Error](i.obstacle(info)); ok {
			refusal.Op = "trigger"
			return refusal
		}
	}
	return failed
}
