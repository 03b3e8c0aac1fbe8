package redlock

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Job is a named, immutable description of a schedule whose ticks are claimed.
// It holds no state of a run, so any number of goroutines may share it.
type Job struct{ t *target }

// Name returns the job's name, with the prefix: its lock's key in Redis.
func (j *Job) Name() string { return j.t.name.Lock }

// Takeover reports whether [WithTakeover] is set, for the job or its Locker.
func (j *Job) Takeover() bool { return j.t.cfg.takeover }

// Claim returns a lease, which is the right to run one tick of the job. Each tick
// is granted to at most one owner, however the replicas' clocks differ, however
// long the job takes, and however late a replica asks.
//
// tick is the scheduled instant, not the moment the code started. It counts in
// whole milliseconds of Unix time, so two ticks of one job must be at least a
// millisecond apart.
//
// If the tick is not granted, the error matches
//   - [ErrTickDone]: the tick, or a later one, was granted to another owner;
//   - [ErrTaken]: another owner has this tick, or an earlier run still holds the job;
//   - [ErrPaused]: an operator paused the job; runs that are under way go on;
//   - [ErrTickStale], [ErrClockSkew]: the tick is too old, or too far ahead of the nodes' clocks;
//   - [ErrNoQuorum], or ctx's error.
//
// Claim does not wait for a run to end. But a tick that nobody gets is lost, so
// while no majority answers, or a split vote leaves the tick to nobody, Claim
// begins another vote until six node timeouts have passed, or for as long as
// [WithLateness] says.
//
// Ticks are granted in order, unless [WithAnyOrder] is set. A claimer that dies
// once the nodes have voted for it spends the tick, unless [WithTakeover] is set.
// A claimer may also spend it if, before it has counted the votes, its ctx ends or
// its Locker is closed, or if its link is slower than the node timeout.
func (j *Job) Claim(ctx context.Context, tick time.Time) (*Lease, error) {
	return j.claim(ctx, "claim", tick, j.t.claim)
}

// Await returns as [Job.Claim] does, but under [WithTakeover] waits while another
// owner has the tick: until the tick is done, or until its holder has died and
// this claim takes it over. Nothing is taken over while the job is paused. Without
// WithTakeover, Await is Claim.
func (j *Job) Await(ctx context.Context, tick time.Time) (*Lease, error) {
	if !j.t.cfg.takeover {
		return j.Claim(ctx, tick)
	}
	return j.claim(ctx, "await", tick, j.t.await)
}

// Run claims the tick as [Job.Await] does, so it waits under [WithTakeover]. It
// runs f with a context that ends when ctx ends or the lease is lost, and
// unlocks, even when f panics. If the tick is not granted, f does not run and
// the error is Claim's. Otherwise it is f's, joined with the unlock's.
func (j *Job) Run(ctx context.Context, tick time.Time, f func(ctx context.Context) error) error {
	lease, err := j.Await(ctx, tick)
	if err != nil {
		return err
	}
	return lease.doAndUnlock(ctx, f)
}

// LastTick returns the newest tick that was granted, in UTC, or the zero time
// when the nodes remember none. They remember it for at least 7 days after a grant,
// for at least the retention, and longer under [WithCatchUp]. Under [WithAnyOrder]
// it is not known.
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
	if y := tick.UTC().Year(); y < 1970 || y > 9999 || ms <= 0 {
		return nil, invalid("tick is %v, must lie between 1970 and 9999; pass the scheduled instant of the run", tick)
	}
	if d := j.t.headStart(ms); d > 0 {
		j.t.locker.sleep(ctx, d)
	}
	return acquire(ctx, &acquisition{op: op, begin: time.Now(), tick: ms, at: tick})
}

// headStart returns how long this replica lets others go first.
func (t *target) headStart(tick int64) time.Duration {
	wait := t.cfg.handicap
	if t.cfg.spread > 0 {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s", t.name.Lock, tick, t.cfg.holder))
		wait += time.Duration(binary.BigEndian.Uint64(sum[:]) % uint64(t.cfg.spread))
	}
	return wait
}
