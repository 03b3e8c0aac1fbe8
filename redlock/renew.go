package redlock

import (
	"context"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/internal/quorum"
)

// renewer renews the leases of a Locker. Leases of one TTL that are due at about the same time are renewed together, so that
// they share a timer, a goroutine and the nodes' batches.
type renewer struct {
	born time.Time
	mu   sync.Mutex
	due  map[time.Duration]map[*Lease]struct{} // by the time at which they are due, since born
}

func (r *renewer) schedule(l *Lease, at time.Time) {
	due := at.Sub(r.born).Truncate(l.t.cfg.ttl / 48) // early by up to a sixteenth of the interval
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.due[l.renewal], l)
	l.renewal = due
	together := r.due[due]
	if together == nil {
		together = make(map[*Lease]struct{})
		r.due[due] = together
		time.AfterFunc(max(time.Until(r.born.Add(due)), 1), func() { r.fire(due) })
	}
	together[l] = struct{}{}
}

func (r *renewer) remove(l *Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.due[l.renewal], l)
}

func (r *renewer) fire(due time.Duration) {
	r.mu.Lock()
	together := r.due[due]
	delete(r.due, due)
	r.mu.Unlock()
	for l := range together {
		l.renew()
	}
}

// scheduleRenewal schedules the next renewal. The caller holds mu, and has checked that the lease is held.
func (l *Lease) scheduleRenewal(at time.Time) {
	if !l.t.cfg.noRenewal {
		l.t.locker.renewer.schedule(l, at)
	}
}

// Extend renews the lease now, for a full TTL. It returns nil once a majority of
// the nodes has agreed within the lease's validity. An error that matches [ErrLost]
// is final. After any other error the lease stands until ValidUntil.
func (l *Lease) Extend(ctx context.Context) error {
	var p *quorum.Poll
	_, err := l.t.twice(ctx, func() (tally quorum.Tally, err error) {
		if p, err = l.extend(nil); err == nil {
			err = p.Wait(ctx, l.t.cfg.nodeTimeout, l.t.cfg.validity()/2)
			tally = p.Tally()
		}
		return tally, err
	})
	if p == nil {
		return err
	}
	return l.applyExtension(p, err)
}

// renew extends the lease in the background. It does not wait for the outcome, so it needs no goroutine.
func (l *Lease) renew() {
	if l.heldTooLong() || l.t.locker.closing.Err() != nil {
		return
	}
	l.mu.Lock()
	if l.ended == nil {
		// Try again soon unless this renewal succeeds, so that a transient error does not cost the lease.
		l.scheduleRenewal(time.Now().Add(max(l.t.cfg.ttl/12, 5*time.Millisecond)))
	}
	l.mu.Unlock()
	_, _ = l.extend(func(p *quorum.Poll) { _ = l.applyExtension(p, nil) })
}

func (l *Lease) heldTooLong() bool {
	hold := l.t.cfg.maxHold
	return hold > 0 && time.Since(l.since) > hold
}

// extend posts an extension to all nodes. Unlock waits until that is done, so that the release comes last on every node.
func (l *Lease) extend(certain func(*quorum.Poll)) (*quorum.Poll, error) {
	l.markIfOver() // the local timer stands still while the machine is suspended
	l.mu.Lock()
	if l.ended != nil {
		l.mu.Unlock()
		return nil, l.errLost("extend")
	}
	l.posting.Add(1)
	defer l.posting.Done()
	if l.extension.Command == nil {
		l.extension = l.t.name.Extend(l.token)
	}
	request, until := l.extension, l.until
	l.mu.Unlock()
	return l.t.locker.group.Renew(request, until, certain), nil
}

// applyExtension prolongs the lease if the extension succeeded, or marks it as lost if too many nodes hold other tokens.
func (l *Lease) applyExtension(p *quorum.Poll, err error) error {
	tally := p.Tally()
	switch {
	case tally.Won():
		if !l.prolong(p.Start) {
			return l.errLost("extend")
		}
		l.report(Renewed, time.Since(p.Start), nil)
		return nil
	case tally.Blocks(tally.Refused):
		l.markLost("so many nodes hold another token, or had this one released by an operator, that no majority is left")
		return l.errLost("extend")
	case err == nil:
		err = ErrNoQuorum
	}
	failure := l.t.fail("extend", l.tick, &tally, err)
	l.mu.Lock()
	ended := l.ended != nil
	l.mu.Unlock()
	if !ended && !endedByCaller(err) {
		l.report(RenewFailed, 0, failure)
	}
	return failure
}

// prolong moves the end of validity after an extension that was begun at that time, and reports whether the lease was still valid.
// Later an extension counts for nothing, because another owner may have had the name in between.
func (l *Lease) prolong(begun time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.ended != nil || over(now, l.until) {
		return false
	}
	if until := begun.Add(l.t.cfg.validity()); until.After(l.until) {
		l.until = until
		if l.established { // otherwise elapse does it
			l.scheduleRenewal(begun.Add(l.t.cfg.ttl / 3))
		}
	}
	return true
}
