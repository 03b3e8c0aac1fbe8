package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redtick/redtick/redlock"
)

// recall is how soon gocron is asked once more for a run that has not come, and
// how much longer each time: in some modes it drops runs without a word.
const recall, recallGrowth = 50 * time.Millisecond, 2

// inTurn decides on a run of a job whose ticks are taken over. Runs are
// interchangeable: for each tick one is started, and each takes the oldest
// tick that can be had.
func (l *Locker) inTurn(ctx context.Context, key string, p plan, planned error) (*run, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	m, err := l.locker.NewJob(key, l.of(key, p.spacing)...)
	if err != nil {
		return nil, err
	}
	t := &turn{book: p.book, m: m}
	if h, held := p.book.backlog.inherit(); h != nil {
		if !p.fresh && !p.book.backlog.answered() {
			l.expect(p.book.job.ID(), -1)
		}
		return t.run(ctx, h.stake, held), nil
	}
	switch {
	case planned != nil:
		return nil, planned
	case p.fresh:
		return t.claim(ctx)
	case p.tick.IsZero() || l.expect(p.book.job.ID(), 0):
		return l.lockOnly(ctx, key, p)
	}
	p.book.backlog.answered()
	return nil, t.refuse() // asking again for a tick that was asked for before leads nowhere
}

// turn is how the ticks of one job are claimed in order.
type turn struct {
	*book
	m *redlock.Job
}

// claim asks for the first tick of the backlog, once. While that is held, it
// and those behind it stand by.
func (t *turn) claim(ctx context.Context) (*run, error) {
	if !t.backlog.lead() {
		return nil, t.refuse()
	}
	var over error
	for {
		s, held := t.backlog.first()
		switch {
		case s == nil:
			return nil, over
		case held != nil:
			go t.standBy(ctx)
			return nil, t.refuse()
		}
		lease, err := t.m.Claim(ctx, s.tick)
		switch {
		case err == nil:
			held := t.backlog.begin(s, lease)
			go t.standBy(ctx)
			return t.run(ctx, s, held), nil
		case ctx.Err() == nil && (errors.Is(err, redlock.ErrTaken) || errors.Is(err, redlock.ErrNoQuorum)):
			go t.standBy(ctx)
			return nil, err
		}
		t.backlog.remove(s)
		over = err
	}
}

// refuse tells a run that its tick comes after others.
func (t *turn) refuse() error {
	n := t.backlog.size()
	if n == 0 {
		return fmt.Errorf("%w: another run of job %q has just asked for its tick, which is over", ErrNoTick, t.job.Name())
	}
	return &redlock.Error{Op: "claim", Name: t.m.Name(), Reason: redlock.ErrTaken,
		Detail: fmt.Sprintf("%d ticks are run or stand by on this replica, and come one after the other", n)}
}

func (t *turn) run(ctx context.Context, s *stake, held *holding) *run {
	return &run{job: ctx, lease: held.lease, over: func(unlocked error) {
		t.backlog.end(s, held, unlocked == nil) // if not, the stand-by asks for the tick again: then it is known
	}}
}

// standBy leads the backlog until it is empty or the job ends: it waits until
// the first tick is over, or takes it over when its holder dies. A run of this
// replica is watched, too: it may lose its lease.
func (t *turn) standBy(ctx context.Context) {
	for ctx.Err() == nil {
		s, held := t.backlog.first()
		if s == nil {
			return
		}
		if held != nil {
			held.wait(ctx)
			continue
		}
		lease, err := t.m.Await(ctx, s.tick)
		switch {
		case err == nil:
			t.bequeath(ctx, s, lease)
		case ctx.Err() == nil:
			t.backlog.remove(s) // it is over, or too late for it; redlock's observer was told
		}
	}
}

// bequeath has a run of the job pick the lease up. When none does, because
// gocron is busy, stopped or drops runs, the tick must neither be kept from
// the other replicas for long nor be marked as done: its lock is left to
// expire, and they get the first chance.
func (t *turn) bequeath(ctx context.Context, s *stake, lease *redlock.Lease) {
	patience := time.Until(lease.ValidUntil())
	h := t.backlog.bequeath(s, lease)
	if t.summon(ctx, h, patience) || !t.backlog.disinherit(h) {
		return
	}
	if _, err := lease.Detach(); err == nil {
		sleep(ctx, patience+patience/4)
	}
}

// summon asks gocron for a run until one has picked the lease up, for no
// longer than patience. RunNow is bounded by itself, also while gocron stops.
// It must not reach one that has stopped, which is why ctx is looked at first.
func (t *turn) summon(ctx context.Context, h *heir, patience time.Duration) (taken bool) {
	end := time.NewTimer(patience)
	defer end.Stop()
	for pause := recall; ctx.Err() == nil; pause *= recallGrowth {
		t.backlog.call()
		_ = t.job.RunNow() // one that is said to have failed may still come
		again := time.NewTimer(pause)
		select {
		case <-h.taken:
			taken = true
		case <-again.C:
			continue
		case <-end.C:
		case <-ctx.Done():
		case <-h.lease.Context().Done():
		}
		again.Stop()
		break
	}
	return taken
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
