package redlock

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Job is a job's name and options. Its ticks are claimed one by one. Any number of
// goroutines may share it.
type Job struct {
	t      target
	grants *atomic.Uint32 // of its last claims, see turns; nil without a spread
}

// Name returns the job's name with the prefix, which is its lock's key in Redis.
func (j *Job) Name() string { return j.t.name.Lock }

// Takeover reports whether [WithTakeover] is set, for the job or its Locker.
func (j *Job) Takeover() bool { return j.t.cfg.takeover }

// AnyOrder reports whether [WithAnyOrder] is set, for the job or its Locker.
func (j *Job) AnyOrder() bool { return j.t.cfg.anyOrder }

// Claim returns a lease, which is the right to run one tick of the job. Each tick
// is granted to at most one owner, however the replicas' clocks differ, however
// long the job takes, and however late a replica asks.
//
// tick is the scheduled instant, not the moment the code started. It is truncated to
// a millisecond, so two ticks of one job must be at least a millisecond apart.
//
// If the tick is not granted, the error matches
//   - [ErrTickDone]: the tick, a later one, or one within [WithSpacing] was granted to another owner;
//   - [ErrTaken]: another owner has this tick, or an earlier run still holds the job;
//   - [ErrPaused]: an operator paused the job; runs that are under way go on;
//   - [ErrTickStale], [ErrClockSkew]: the tick is too old, or too far ahead of the nodes' clocks;
//   - [ErrNoQuorum], or ctx's error.
//
// Claim does not wait for a run to end. But a tick that nobody gets is lost. So while
// no majority answers, or a split vote gives nobody the tick, Claim votes again for
// six node timeouts, or for as long as [WithLateness] says.
//
// Ticks are granted in order, unless [WithAnyOrder] is set. A claimer that dies
// once the nodes have voted for it spends the tick, unless [WithTakeover] is set. So
// may a claimer whose ctx ends or whose Locker is closed before it has counted the
// votes, and one whose link is slower than the node timeout.
func (j *Job) Claim(ctx context.Context, tick time.Time) (*Lease, error) {
	return j.claim(ctx, "claim", tick, j.t.acquireTick)
}

// Await claims the tick as [Job.Claim] does. Under [WithTakeover] it also waits while
// another owner has the tick, until the tick is done, or until its holder has died
// and this claim takes it over. Nothing is taken over while the job is paused.
func (j *Job) Await(ctx context.Context, tick time.Time) (*Lease, error) {
	if !j.t.cfg.takeover {
		return j.Claim(ctx, tick)
	}
	return j.claim(ctx, "await", tick, j.t.await)
}

// Run claims the tick as [Job.Await] does, so it waits under [WithTakeover]. It
// runs f with a context that ends when ctx ends or the lease is lost, records f's
// error as the result, and unlocks, even if f panics. If the tick is not granted, f
// does not run and the error is Await's. Otherwise it is f's, joined with the unlock's.
func (j *Job) Run(ctx context.Context, tick time.Time, f func(ctx context.Context) error) error {
	lease, err := j.Await(ctx, tick)
	if err != nil {
		return err
	}
	return lease.doAndUnlock(ctx, f)
}

// LastTick returns the newest tick that was granted, in UTC, or the zero time if the
// nodes remember none. They learn of it 10 ms after the grant, or at the unlock if
// that is sooner; under [WithTakeover] always at the unlock. They remember it for at
// least 7 days and at least the retention, and longer under [WithCatchUp], but not
// at all under [WithAnyOrder].
func (j *Job) LastTick(ctx context.Context) (time.Time, error) {
	tally, err := j.t.ask(ctx, "last tick", 0, j.t.name.LastTick())
	if err != nil {
		return time.Time{}, err
	}
	newest := int64(0)
	for _, a := range tally.Answers {
		newest = max(newest, a.Last)
	}
	return protocol.Instant(newest), nil
}

func (j *Job) claim(ctx context.Context, op string, tick time.Time, acquire func(context.Context, *acquisition) (*Lease, error)) (*Lease, error) {
	j.t.locker.beginCall()
	defer j.t.locker.endCall()
	ms := tick.UnixMilli()
	if y := tick.UTC().Year(); y < 1970 || y > 9999 || ms == 0 { // 0 stands for a lock
		return nil, invalid("tick is %v, must lie between 1970 and 9999; pass the scheduled instant of the run", tick)
	}
	if wait := j.t.cfg.handicap + j.turn(); wait > 0 {
		j.t.locker.sleep(ctx, wait) // the other replicas go first
	}
	lease, err := acquire(ctx, &acquisition{op: op, begin: time.Now(), tick: ms, at: tick})
	if j.t.cfg.spread > 0 {
		grants := j.grants.Load() << 1
		if err == nil {
			grants |= 1
		}
		j.grants.Store(grants)
	}
	return lease, err
}

// turn returns the delay of [WithSpread].
func (j *Job) turn() time.Duration {
	d := j.t.cfg.spread
	if d == 0 {
		return 0
	}
	const last, beforeLast, lastEight = 1, 2, 1<<8 - 1
	wait := j.t.cfg.jitter(d)
	switch grants := j.grants.Load(); {
	case grants&lastEight == lastEight: // no other replica seems to be there
	case grants&last != 0:
		wait += 2 * d
	case grants&beforeLast != 0:
		wait += d
	}
	return wait
}

// CatchUp returns how old a missed tick may be to be run, or 0 if none is; see
// [WithCatchUp].
func (j *Job) CatchUp() time.Duration { return j.t.cfg.catchUp }

// maxMissedPause is the longest pause before Missed asks again.
const maxMissedPause = 15 * time.Second

// Missed returns the tick to catch up on under [WithCatchUp], which the caller then
// claims, or the zero time if there is none. newest must return the newest instant of
// the schedule that has come and is no older than [Job.CatchUp], or the zero time.
// That tick was missed if [Job.LastTick] is an earlier one. So on the first
// deployment nothing was missed.
//
// While the job is paused, or no majority of the nodes answers, Missed waits until
// ctx ends or the newest tick is too old.
func (j *Job) Missed(ctx context.Context, newest func() time.Time) (time.Time, error) {
	for begin := time.Now(); ; {
		tick := newest()
		if tick.IsZero() {
			return time.Time{}, nil
		}
		missed, err := j.missed(ctx, tick)
		switch {
		case err == nil && missed:
			return tick, nil
		case err == nil || !errors.Is(err, ErrPaused) && !refusalOf(err).lacksQuorum():
			return time.Time{}, err
		}
		if ended := j.t.delay(ctx, begin, maxMissedPause); ended != nil {
			return time.Time{}, errors.Join(ended, err)
		}
	}
}

func (j *Job) missed(ctx context.Context, tick time.Time) (bool, error) {
	last, err := j.LastTick(ctx)
	if err != nil || last.IsZero() || !last.Before(tick) {
		return false, err
	}
	tally, err := j.t.ask(ctx, "missed", tick.UnixMilli(), j.t.name.Look(tick.UnixMilli(), "", ""))
	if err == nil && tally.Blocks(tally.Paused) {
		err = j.t.fail("missed", tick.UnixMilli(), &tally, ErrPaused)
	}
	return err == nil, err
}

// Triggered returns the job on which to claim the ticks of [Job.OnTrigger], which are
// runs by hand. Such a claim does not affect the order of the schedule's ticks, so it
// blocks a scheduled tick only while its run lasts. It is not taken over, caught up
// on, or asked for again once refused. Pauses apply to it, spacing does not.
func (j *Job) Triggered() *Job {
	t := j.t
	t.cfg.triggered = !t.cfg.anyOrder // if the job's ticks are in order, a tick stays its claim's fence
	t.cfg.anyOrder, t.cfg.takeover, t.cfg.owner = true, false, ""
	t.cfg.catchUp, t.cfg.lateness = 0, 0
	t.setName(t.name.Lock)
	return &Job{t: t, grants: new(atomic.Uint32)} // the schedule's turns are not its
}

// OnTrigger calls run on every listening replica each time an operator triggers the
// job, with the tick to claim on [Job.Triggered]. One replica is granted it. run must
// not block. The observer is told of each trigger, and if a node's triggers cannot be
// heard. A trigger reaches jobs of the same name in all databases of a server.
//
// The Locker subscribes once on each node for all its jobs, on a connection of its
// own, from the first OnTrigger until the last stop or Close. A trigger published
// while nobody is subscribed is lost, and the operator is told so. If run is nil or
// no node is a [driver.Subscriber] the error matches [ErrInvalid], and after Close it
// is [ErrClosed].
func (j *Job) OnTrigger(run func(tick time.Time)) (stop func(), err error) {
	if run == nil {
		return nil, invalid("the function for triggers of job %q is nil; pass one that claims the tick on the job of Triggered", j.Name())
	}
	l := &j.t.locker.triggers
	if !l.Subscribable() {
		return nil, invalid("no node is a driver.Subscriber, so job %q would hear no trigger; use another driver, or leave triggers out", j.Name())
	}
	stop, ok := l.Listen(j.Name(), func(t protocol.Trigger) { run(protocol.Instant(t.Tick)) })
	if !ok {
		return nil, ErrClosed
	}
	return stop, nil
}
