package redlock

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// acquisition is one call that asks for a lock or a tick, with all its rounds of votes.
type acquisition struct {
	op    string
	begin time.Time   // of the call
	tick  int64       // Unix ms; 0 for a lock
	at    time.Time   // the tick in the claim's caller's time zone; zero for a lock or an adoption
	waits bool        // it asks again until its caller ends it
	tried func(error) // if not nil, called with the outcome of each try; for electors

	token  string    // of the latest round
	former []uint64  // hashes of the tokens of a claim's earlier rounds, whose votes count for nothing
	asked  time.Time // when the nodes were first asked

	reported     *Error // the refusal last reported; a call that asks again does not repeat it
	firstRefusal error  // the first one reported with the note that the claim asks again
}

var formerSeed = maphash.MakeSeed()

// acquire votes, round after round, until the outcome is certain: granted, held by another, or no quorum.
func (t *target) acquire(ctx context.Context, a *acquisition) (*Lease, error) {
	if err := t.locker.admit(ctx); err != nil {
		return nil, t.refuse(a, nil, err)
	}
	defer func() { <-t.locker.slots }()
	begin := time.Now()
	if a.asked.IsZero() {
		a.asked = begin
	}
	var probe orderedProbe
	var before quorum.Tally // of the previous round
	var why error           // why the previous round was not won; nil before the first
	for try := 0; ; try++ {
		r, err := t.newRound(ctx, a)
		if err != nil {
			if err = t.refuse(a, nil, err); why != nil {
				err = whileWaiting(err, t.fail(a.op, a.tick, &before, why))
			}
			return nil, err
		}
		if probe.on {
			err = r.voteInOrder(ctx, probe.first)
		} else {
			err = r.vote(ctx, r.request())
		}
		tally := r.poll.Tally()
		lease, err := r.lease(ctx, &tally, err)
		if lease != nil {
			lease.report(Acquired, time.Since(a.begin), a.firstRefusal)
			return lease, nil
		}
		r.abort(t.locker.stopped(ctx) != nil) // whatever was sent: a vote that is still on its way must not outlive the round
		result, reason := t.classify(a, &tally, err, try)
		probe.observe(r, &tally, result)
		if try >= lastingFrom && result == split && a.tick == 0 {
			result, reason = t.lookForLasting(ctx, &tally, reason)
		}
		// A lone caller may notice only now that its context has ended. The next round says so.
		ended := reason == ErrNoQuorum && ctx.Err() != nil
		if !ended && (result == final || time.Since(begin) > t.budget(result)) {
			return nil, t.refuse(a, probe.mostInformative(&tally, reason), reason)
		}
		before, why = tally, reason
		t.pause(ctx, r.poll.Start, try)
	}
}

// acquireTick acquires a tick. While only a quorum is missing it asks again, for minLateness at least and for as long as
// WithLateness says. It gives up its slot for voting while it pauses, since others need it.
func (t *target) acquireTick(ctx context.Context, a *acquisition) (*Lease, error) {
	for {
		lease, err := t.acquire(ctx, a)
		if err == nil || refusalOf(err).retry != retrying {
			return lease, err
		}
		if ended := t.delay(ctx, a.asked, min(maxLatePause, time.Until(t.askUntil(a)))); ended != nil {
			return nil, whileWaiting(t.refuse(a, nil, ended), err)
		}
	}
}

// maxLatePause is the longest pause before a claim asks again.
const maxLatePause = 5 * time.Second

// delay pauses before the nodes are asked again, for about a quarter of the time since begin but no longer than longest. It
// returns an error if ctx ends or the Locker is closed.
func (t *target) delay(ctx context.Context, begin time.Time, longest time.Duration) error {
	d := min(max(time.Since(begin), t.cfg.nodeTimeout)/4, longest)
	t.locker.sleep(ctx, min(t.randomPause(d, 0), longest))
	return t.locker.stopped(ctx)
}

// minLateness is how long a claim without a quorum asks again, whatever its lateness, before it is reported.
func (t *target) minLateness() time.Duration { return 6 * t.cfg.nodeTimeout }

// askUntil returns until when a claim without a quorum may ask again. With a lateness it leaves four node timeouts for the last
// vote, so that the claim has ended before the job's next tick comes.
func (t *target) askUntil(a *acquisition) time.Time {
	d := t.minLateness()
	if t.cfg.lateness > 0 {
		d = t.cfg.lateness
		if t.cfg.next != nil {
			if next := t.cfg.next(a.at); next.After(a.at) { // a schedule that ended returns zero, and a broken one may go back
				// Until next by the wall clock, but no longer than an interval if that clock is set back.
				d = min(d, next.Sub(a.at), time.Since(a.asked)+time.Until(next))
			}
		}
		d = max(d-4*t.cfg.nodeTimeout, t.cfg.nodeTimeout)
	}
	return a.asked.Add(d)
}

// outcome says whether to vote again at once after a round that was not won.
type outcome uint8

const (
	final     outcome = iota // voting again at once would change nothing
	split                    // nobody has a majority
	reconnect                // the nodes failed fast
)

// classify returns whether to vote again after a round that was not won, and why it was not won.
func (t *target) classify(a *acquisition, tally *quorum.Tally, err error, try int) (outcome, error) {
	leader, led := tally.Leader()
	switch {
	case err != nil:
		return final, err
	case tally.Done > 0:
		return final, ErrTickDone
	case t.locker.closing.Err() != nil:
		return final, ErrClosed
	case tally.Won():
		return split, ErrNoQuorum // won too late, or without a fence that a majority has
	case tally.Blocks(tally.Lasting()):
		return final, ErrTaken
	case led && slices.Contains(a.former, maphash.String(formerSeed, leader.Token)):
		return final, ErrNoQuorum // our own earlier round, whose answers were lost and whose abort has not arrived
	case led:
		// That owner won, even if it has not confirmed yet, or it died or gave up before it counted its votes. The nodes cannot
		// tell which; docs/design.md says why a loser does not ask again.
		return final, ErrTaken
	case tally.Blocks(tally.Paused):
		return final, ErrPaused
	case tally.Blocks(tally.Stale):
		return final, ErrTickStale
	case tally.Blocks(tally.TooFarAhead):
		return final, ErrClockSkew
	case !tally.Blocks(tally.Missing()):
		return split, obstacle(tally)
	case try == 0 && failedFast(tally):
		return reconnect, ErrNoQuorum
	}
	return final, ErrNoQuorum
}

// obstacle returns why a vote is split. Some nodes' clocks may put the tick too far ahead or too far back.
func obstacle(tally *quorum.Tally) error {
	switch {
	case tally.TooFarAhead > 0:
		return ErrClockSkew
	case tally.Stale > 0:
		return ErrTickStale
	}
	return ErrNoQuorum
}

// failedFast reports whether a majority may grant once the nodes that failed fast are asked again. Perhaps idle connections had died,
// and new ones work.
func failedFast(tally *quorum.Tally) bool {
	return !tally.Won() && tally.Granted+tally.Failed-failures(tally, outlastsRetry) >= tally.Quorum
}

// failures counts the answers whose error is of a kind.
func failures(tally *quorum.Tally, kind func(error) bool) (n int) {
	for _, a := range tally.Answers {
		if a.Err != nil && kind(a.Err) {
			n++
		}
	}
	return n
}

// isPermanent reports whether an error cannot go away by itself.
func isPermanent(err error) bool {
	_, ok := errors.AsType[*protocol.PermanentError](err)
	return ok
}

// outlastsRetry reports whether asking the node again at once would fail in the same way.
func outlastsRetry(err error) bool { return isPermanent(err) || errors.Is(err, pipeline.ErrOut) }

// lastingFrom is the round from which a split vote is checked for keys that never expire.
const lastingFrom = 2

// lookForLasting asks whether keys that never expire keep the name, so that voting again is useless. If so, it sets tally to what
// it saw. Only a lock needs it, since SET NX GET does not tell, and a claim's votes do.
func (t *target) lookForLasting(ctx context.Context, tally *quorum.Tally, reason error) (outcome, error) {
	seen, err := t.poll(ctx, t.name.Look(0, "", ""))
	if err != nil || !seen.Blocks(seen.Lasting()) {
		return split, reason
	}
	*tally = seen
	return final, ErrTaken
}

// budget returns how long a call may keep voting.
func (t *target) budget(result outcome) time.Duration {
	if result == split {
		return 4 * t.cfg.nodeTimeout
	}
	return t.cfg.nodeTimeout
}

// pause separates a round from the next one, after the given number of tries.
func (t *target) pause(ctx context.Context, start time.Time, try int) {
	t.locker.sleep(ctx, t.randomPause(min(time.Since(start), 20*time.Millisecond), try))
}

// randomPause returns a pause that grows with the tries and with the time a round takes. It separates contenders that split the
// vote.
func (t *target) randomPause(round time.Duration, try int) time.Duration {
	base := max(round, 500*time.Microsecond)
	return base/2 + t.cfg.jitter(base<<min(try, 3))
}

// sleep waits for d, or until ctx ends or the Locker is closed.
func (l *Locker) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-l.closing.Done():
	}
}
