package redlock

import (
	"context"
	"errors"
	"time"
)

// Claim asks for the right to run one tick of the job that the mutex names.
// For each tick it is granted to at most one owner, however the replicas'
// clocks differ, however long the job takes, and however late a replica asks.
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
// Claim does not wait for a run to end, except under [WithTakeover]: then it
// waits until the tick is done, or takes it over when its holder dies. While a
// split vote leaves the tick to nobody, it votes again, for eight times the
// node timeout.
//
// Ticks are granted in order, unless [WithAnyOrder] is set. A claimer that dies
// once it was granted spends the tick, unless [WithTakeover] is set.
func (m *Mutex) Claim(ctx context.Context, tick time.Time) (*Lease, error) {
	b, err := bidFor(tick)
	if err != nil {
		return nil, err
	}
	if m.cfg.takeover {
		return m.waitFor(ctx, b, func(err error) bool { return errors.Is(err, ErrTaken) || errors.Is(err, ErrNoQuorum) })
	}
	return m.decide(ctx, b)
}

// TryClaim is Claim without waiting, which differs only under [WithTakeover]:
// [ErrTaken] then says that the tick's run, or an earlier one, is not over, and
// whoever wants to take it over when its holder dies must Claim.
func (m *Mutex) TryClaim(ctx context.Context, tick time.Time) (*Lease, error) {
	b, err := bidFor(tick)
	if err != nil {
		return nil, err
	}
	return m.decide(ctx, b)
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
