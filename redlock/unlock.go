package redlock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// releaseState is the progress of a lease's release. It is not a sync.Once, because waiting for one does not block a goroutine
// durably in a synctest bubble.
type releaseState struct {
	begun bool // guarded by the lease
	done  sync.WaitGroup
	err   error // the outcome; read after done
}

// Unlock releases the lease on all nodes and returns once a majority has confirmed
// that. It ignores ctx, so it works with one that has ended. It waits for two node
// timeouts, or for up to half the TTL for nodes that are slow but answer other calls.
// Until then, and in the background afterwards, the release is sent again to nodes
// that fail. Later calls return the error of the first.
//
// The error matches [ErrLost] if the lease was lost before its release, and
// [ErrNoQuorum] if that is not known.
func (l *Lease) Unlock(_ context.Context) error {
	return l.releaseOnce(func() error { return l.unlock(false) })
}

// Abandon unlocks as [Lease.Unlock] does. Under [WithTakeover] it leaves the tick
// undone, so that another replica may run it at once. Otherwise the tick stays spent.
func (l *Lease) Abandon(_ context.Context) error {
	return l.releaseOnce(func() error { return l.unlock(l.t.cfg.takeover) })
}

// releaseOnce calls release for the first caller. All others wait for it and return the same error.
func (l *Lease) releaseOnce(release func() error) error {
	l.mu.Lock()
	first := !l.release.begun
	if first {
		l.release.begun = true
		l.release.done.Add(1)
	}
	l.mu.Unlock()
	if first {
		defer l.release.done.Done()
		l.release.err = release()
	} else {
		l.release.done.Wait()
	}
	return l.release.err
}

// unlock releases the lock, and marks the tick as done unless it was abandoned.
func (l *Lease) unlock(abandoned bool) error {
	l.markIfOver()
	held := l.end(errReleased)
	l.posting.Wait()
	begin := time.Now()
	l.conclude(begin, held, abandoned)
	// Mark the tick as done even if the lease was lost, since it may not be confirmed. Not under take-over, where another may run it.
	p := l.postRelease(l.tick != 0 && !abandoned && (held || !l.t.cfg.takeover))
	if !held {
		return l.errLost("unlock")
	}
	// Ignore the caller's context: gocron and cron cancel a job's context before they unlock. Wait for as long as a pipeline does.
	_ = p.Wait(context.Background(), pipeline.LateTimeouts*l.t.cfg.nodeTimeout, l.t.cfg.validity()/2)
	tally := p.Tally()
	var err error
	switch {
	case tally.Blocks(tally.Refused):
		err = l.t.fail("unlock", l.tick, &tally, ErrLost)
	case !tally.Won():
		err = l.t.fail("unlock", l.tick, &tally, ErrNoQuorum)
	}
	l.report(Released, begin.Sub(l.since), err)
	return err
}

// markIfOver marks the lease as lost if its validity has ended, and reports whether it has.
func (l *Lease) markIfOver() bool {
	l.mu.Lock()
	ended := over(time.Now(), l.until)
	l.mu.Unlock()
	if ended {
		l.markLost(l.whyExpired())
	}
	return ended
}

// postRelease sends the release to every node. It is repeated until executed on nodes that may hold the token, and on all nodes if
// it ends a tick under take-over, since nothing else does. On other nodes it only wakes waiters and proves that the tick is done,
// so it is sent at most once.
func (l *Lease) postRelease(endsTick bool) *quorum.Poll {
	var request quorum.Request
	if endsTick || l.run != nil && l.t.cfg.history > 0 {
		request = l.t.name.Finish(&l.run.Record, l.t.cfg.owner, endsTick, l.run.confirmed)
	} else {
		request = l.t.name.Release(l.token, true)
	}
	request.Decode = l.t.decodeRelease
	extended := l.extension.Command != nil // no lock: the lease has ended, and no extension is being posted any more
	until := l.t.releaseDeadline()
	p := l.t.locker.group.NewPoll()
	for i, node := range l.t.locker.group.Pipelines {
		class, holds := l.vote.MayHold(i) // cancels a vote that is still queued
		if !holds && !(extended && node.MayHaveSent(l.since)) && !(endsTick && l.t.cfg.takeover) {
			class = pipeline.Renewal // before votes, like a release, but not kept
		}
		p.AskOne(context.Background(), i, request, until, class)
	}
	return p
}

// Detach ends this lease without releasing the lock, and returns a token for
// [Mutex.Adopt] in another process. The lock then lives for a TTL without renewal.
// On an error it is released. Detach cannot be repeated: the error of a second call,
// or of one after Unlock, matches [ErrLost].
func (l *Lease) Detach() (token string, err error) {
	first := false
	_ = l.releaseOnce(func() error {
		first = true
		token, err = l.detach()
		return l.errLost("unlock") // for a later Unlock: a detached lock is no longer ours to release
	})
	if !first {
		return "", l.errLost("detach")
	}
	return token, err
}

// detach ends the lease before it swaps the token, because anyone can read the new token on the nodes and adopt it at once.
func (l *Lease) detach() (string, error) {
	random, err := l.t.locker.tokens.next()
	if l.markIfOver() || err == nil && !l.end(errDetached) {
		err = l.errLost("detach")
	}
	if err != nil {
		return "", errors.Join(err, l.unlock(false))
	}
	l.posting.Wait()
	l.mu.Lock()
	l.confirm() // the adopter does not: see initTarget
	l.mu.Unlock()
	next := protocol.Detached(l.t.cfg.holder, random, l.tick)
	s := &round{t: l.t, a: &acquisition{op: "detach", tick: l.tick}, token: next}
	swap := l.t.name.Swap(l.token, next, true)
	tally, _ := s.voteOnSwap(context.Background(), swap)
	l.conclude(time.Now(), true, !tally.Won())
	if !tally.Won() {
		s.abort(false)
		l.postRelease(false)
		err = l.t.fail("detach", l.tick, &tally, ErrNoQuorum)
	} else {
		l.t.sendWhereMissed(swap, &tally) // or our token would stay on a node that answered with an error
		if l.run != nil && l.t.cfg.history > 0 {
			// Record the end of our part of the run. This is queued behind the swap, so it does not release the lock.
			l.t.locker.group.Send(l.t.name.Finish(&l.run.Record, l.t.cfg.owner, false, l.run.confirmed), s.poll.Start.Add(l.t.cfg.ttl))
		}
	}
	l.report(Released, time.Since(l.since), err)
	if err != nil {
		return "", err
	}
	return next, nil
}
