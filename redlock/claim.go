package redlock

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// Job is a named, immutable description of a schedule whose ticks are claimed.
// It holds no state of a run, so any number of goroutines may share it.
type Job struct{ m *Mutex }

// Name returns the job's name, with the prefix: its lock's key in Redis.
func (j *Job) Name() string { return j.m.keys.lock }

// Takeover reports whether [WithTakeover] is set, for the job or its Locker.
func (j *Job) Takeover() bool { return j.m.cfg.takeover }

// Claim asks for the right to run one tick of the job. For each tick it is
// granted to at most one owner, however the replicas' clocks differ, however
// long the job takes, and however late a replica asks.
//
// tick is the scheduled instant, not the moment the code started. It counts in
// whole milliseconds of Unix time, so two ticks of one job must be at least a
// millisecond apart.
//
// When it is not granted, the error matches
//   - [ErrTickDone]: the tick, or a later one, was granted to another owner;
//   - [ErrTaken]: another owner is ahead on this tick, or an earlier run still holds the job;
//   - [ErrTickStale], [ErrClockSkew]: the tick is too old, or too far ahead of the nodes' clocks;
//   - [ErrNoQuorum], or ctx's error.
//
// Claim does not wait for a run to end. While a split vote leaves the tick to
// nobody, it votes again, for eight times the node timeout.
//
// Ticks are granted in order, unless [WithAnyOrder] is set. A claimer that dies
// once it was granted spends the tick, unless [WithTakeover] is set.
func (j *Job) Claim(ctx context.Context, tick time.Time) (*Lease, error) {
	b, err := bidFor(tick)
	if err != nil {
		return nil, err
	}
	if err := j.m.pauseBefore(ctx, b); err != nil {
		return nil, j.m.refuse(b, "", time.Now(), tally{}, err)
	}
	return j.m.decide(ctx, b)
}

// Await is Claim under [WithTakeover], with waiting: it returns once the tick
// is done, or with a lease when its holder died and it is taken over. Without
// WithTakeover there is nothing to wait for, and Await is Claim.
func (j *Job) Await(ctx context.Context, tick time.Time) (*Lease, error) {
	if !j.m.cfg.takeover {
		return j.Claim(ctx, tick)
	}
	b, err := bidFor(tick)
	if err != nil {
		return nil, err
	}
	if err := j.m.pauseBefore(ctx, b); err != nil {
		return nil, j.m.refuse(b, "", time.Now(), tally{}, err)
	}
	return j.m.waitFor(ctx, b, func(err error) bool { return errors.Is(err, ErrTaken) || errors.Is(err, ErrNoQuorum) })
}

// Run claims the tick (as [Job.Await] does, so it waits under [WithTakeover]),
// runs f with a context that ends when ctx ends or the lease is lost, and
// unlocks, even when f panics. When the tick is not granted, f does not run and
// the error is Claim's. Otherwise it is f's, joined with the unlock's.
func (j *Job) Run(ctx context.Context, tick time.Time, f func(ctx context.Context) error) error {
	lease, err := j.Await(ctx, tick)
	if err != nil {
		return err
	}
	return lease.run(ctx, f)
}

// LastTick returns the newest tick that was granted, in UTC, or the zero time
// when the nodes remember none. They do for at least 7 days after a grant, and
// for at least the retention. It is not known in any order.
func (j *Job) LastTick(ctx context.Context) (time.Time, error) {
	t, err := j.m.poll(ctx, ask{cmd: driver.Command{"GET", j.m.keys.last}, read: readLast})
	switch {
	case err != nil:
		return time.Time{}, j.m.fail("last tick", 0, t, err)
	case t.majority(t.missing()):
		return time.Time{}, j.m.fail("last tick", 0, t, ErrNoQuorum)
	}
	newest := int64(0)
	for _, a := range t.answers {
		newest = max(newest, a.last)
	}
	if newest == 0 {
		return time.Time{}, nil
	}
	return time.UnixMilli(newest).UTC(), nil
}

func readLast(r driver.Reply) answer {
	if a, ok := readFailure(r); ok {
		return a
	}
	s, _ := r.Value.(string)
	if s == "" && r.Value != nil {
		return unexpected(r)
	}
	last, _ := strconv.ParseInt(s, 10, 64)
	return answer{verdict: granted, last: last}
}

// pauseBefore is the wait that WithSpread and WithHandicap ask for.
func (m *Mutex) pauseBefore(ctx context.Context, b bid) error {
	wait := m.cfg.handicap
	if m.cfg.spread > 0 {
		h := fnv.New64a()
		fmt.Fprintf(h, "%s\x00%d\x00%s", m.keys.lock, b.tick, m.cfg.holder)
		wait += time.Duration(scatter(h.Sum64()) % uint64(m.cfg.spread))
	}
	if wait > 0 {
		pause(ctx, wait)
	}
	return ctx.Err()
}

// scatter makes every bit of a hash depend on all others (MurmurHash3's last
// step). FNV alone has a period of 10 for ticks a second apart, modulo 50 ms.
func scatter(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func bidFor(tick time.Time) (bid, error) {
	ms := tick.UnixMilli()
	if y := tick.UTC().Year(); y < 1970 || y > 9999 || ms <= 0 {
		return bid{}, invalid("tick is %v, must lie between 1970 and 9999; pass the scheduled instant of the run", tick)
	}
	return bid{op: "claim", tick: ms}, nil
}

func (m *Mutex) claim(tick int64, token, peek string) ask {
	return ask{script: claimScript, read: readVote, cmd: claimScript.command(
		m.guarded(m.keys.lock, m.keys.tick(tick), m.keys.last, m.keys.tombstone(token)),
		token, m.ttl, decimal(tick), m.owner(token),
		milliseconds(m.cfg.retention), milliseconds(m.cfg.maxSkew), milliseconds(max(m.cfg.spacing, time.Millisecond)),
		m.cfg.order(), peek, milliseconds(m.cfg.guardWindow))}
}

// owner is whose the claim is: every round's own, unless the user said.
func (m *Mutex) owner(token string) string {
	if m.cfg.owner != "" {
		return m.cfg.owner
	}
	return token
}

// confirm tells every node that the claim was granted, without waiting: it is
// what makes the losers' answer a proof, and keeps ticks in order when the
// claimer dies. In take-over mode the tick ends at unlock only.
func (l *Lease) confirm() {
	if l.tick.IsZero() || l.m.cfg.takeover {
		return
	}
	key, args := l.mark()
	a := ask{script: confirmScript, read: readAck, cmd: confirmScript.command([]string{key}, args...)}
	for _, box := range l.m.locker.boxes {
		box.send(a, l.since.Add(l.m.cfg.ttl), false)
	}
}

// finish gives back the lock of a claim and ends its tick.
func (l *Lease) finish() ask {
	m := l.m
	key, args := l.mark()
	return ask{script: finishScript, read: m.freed, cmd: finishScript.command(
		[]string{m.keys.lock, m.keys.waiters, key}, args...)}
}

// mark is the key that proves the tick was granted, and what goes into it.
func (l *Lease) mark() (key string, args []string) {
	m, tick := l.m, l.tick.UnixMilli()
	if m.cfg.anyOrder {
		lifetime := m.cfg.retention + m.cfg.maxSkew + time.Second
		return m.keys.tick(tick), []string{l.token, decimal(tick), m.owner(l.token), milliseconds(lifetime)}
	}
	return m.keys.last, []string{l.token, decimal(tick), "", milliseconds(lastLifetime)}
}
