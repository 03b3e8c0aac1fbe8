package gocronadapter

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
)

// errands are the ticks of one job that runs are started for, beside its schedule: those that were missed, and those of triggers.
// gocron passes a run no tick, so a run for which none is due takes one from here.
type errands struct {
	mu      sync.Mutex
	waiting []*errand
	runs    int // that were started and have not come
}

type errand struct {
	ticks     []time.Time // in order; only the last one is run unless ticks are taken over
	triggered bool
	over      chan struct{} // closed when a run has taken it, or none is needed any more
}

const firstTrigger, lastTrigger = 50 * time.Millisecond, 5 * time.Second

// bring starts runs, with a growing pause, until one has taken the ticks or ctx ends: in some modes gocron drops runs without a word.
func (l *jobLocker) bring(ctx context.Context, triggered bool, ticks ...time.Time) {
	e := &errand{ticks: ticks, triggered: triggered, over: make(chan struct{})}
	l.errands.add(e)
	defer l.errands.remove(e)
	for pause := firstTrigger; ctx.Err() == nil; pause = min(2*pause, lastTrigger) {
		l.scheduler.runNow(ctx, l.owner, l.errands.noteRun)
		timer := time.NewTimer(pause)
		select {
		case <-e.over:
			timer.Stop()
			return
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (q *errands) add(e *errand) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, e)
}

func (q *errands) remove(e *errand) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(other *errand) bool { return other == e })
}

func (q *errands) noteRun() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.runs++
}

// take returns what a run without a tick of its own was started for: the oldest trigger, else what was missed, or nil when
// another run has taken that. When the run may be one by RunNow as well, a trigger that waits comes first: gocron may have
// dropped the RunNow.
func (q *errands) take(byHand bool) (e *errand, ours bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.waiting, func(e *errand) bool { return e.triggered })
	if q.runs == 0 || byHand && i < 0 {
		return nil, false
	}
	q.runs--
	if len(q.waiting) == 0 {
		return nil, true
	}
	i = max(i, 0)
	e = q.waiting[i]
	q.waiting = slices.Delete(q.waiting, i, i+1)
	close(e.over)
	return e, true
}

// overtaken is for a run with a tick of its own: what was missed before is not the newest tick any more.
func (q *errands) overtaken() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(e *errand) bool {
		if !e.triggered {
			close(e.over)
		}
		return !e.triggered
	})
}

// triggered reports whether a trigger waits for a run.
func (q *errands) triggered() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.waiting, func(e *errand) bool { return e.triggered })
}

// claimErrand is for a run that was started for an errand, which is nil if another run has taken it.
func (s *jobState) claimErrand(ctx context.Context, e *errand) (*run, error) {
	switch {
	case e == nil:
		return nil, fmt.Errorf("%w: a run of job %q was started for a tick that another run of this replica has taken", redlock.ErrTickDone, s.name)
	case e.triggered:
		return s.claimTriggered(ctx, e.ticks[0])
	}
	return s.claimMissed(ctx, e.ticks)
}
