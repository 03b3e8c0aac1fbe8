package redlock

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Job is a job's name and options. Its ticks are claimed one by one. It is immutable,
// so any number of goroutines may share it.
type Job struct{ t target }

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
	if d := j.t.headStart(); d > 0 {
		j.t.locker.sleep(ctx, d)
	}
	return acquire(ctx, &acquisition{op: op, begin: time.Now(), tick: ms, at: tick})
}

// headStart returns how long this replica lets the others go first.
func (t *target) headStart() time.Duration {
	wait := t.cfg.handicap
	if t.cfg.spread > 0 {
		wait += t.cfg.jitter(t.cfg.spread)
	}
	return wait
}
