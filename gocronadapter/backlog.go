package gocronadapter

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
)

// maxBacklog bounds the ticks of a job that stand by. It is more than one a
// second for redlock.DefaultRetention; those that are older are refused anyway.
const maxBacklog = 1000

// backlog holds the ticks of one job that this replica has asked for and that
// are not known to be over, in order. Only the first of them is ever asked
// for: a tick that was run ends all those before it. It is asked for by one
// goroutine at a time, which leads the backlog: a Lock, or the stand-by.
type backlog struct {
	mu     sync.Mutex
	stakes []*stake
	led    bool
	heir   *heir
	called int // runs that the stand-by has asked gocron for and that have not come
}

// stake is a tick in the backlog. What is in it is guarded by the backlog.
type stake struct {
	tick time.Time
	held *holding // by a run of this replica, or nil
}

// holding is a run of this replica that has the lease of its tick.
type holding struct {
	lease *redlock.Lease
	over  chan struct{}
}

// heir is a lease that the stand-by was granted and that waits for a run.
type heir struct {
	stake *stake
	lease *redlock.Lease
	taken chan struct{}
}

// add reports whether there was room.
func (b *backlog) add(tick time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stakes) >= maxBacklog {
		return false
	}
	b.stakes = append(b.stakes, &stake{tick: tick})
	return true
}

func (b *backlog) remove(s *stake) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.removeLocked(s)
}

func (b *backlog) removeLocked(s *stake) {
	for i, other := range b.stakes {
		if other == s {
			b.stakes = append(b.stakes[:i:i], b.stakes[i+1:]...)
			return
		}
	}
}

// lead makes the caller the leader, if nobody is and there is anything to lead.
func (b *backlog) lead() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.led || len(b.stakes) == 0 {
		return false
	}
	b.led = true
	return true
}

// first is the leader's next tick, and the run of this replica that has it.
// When there is none left, the caller leads no longer.
func (b *backlog) first() (*stake, *holding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stakes) == 0 {
		b.led = false
		return nil, nil
	}
	s := b.stakes[0]
	if s.held != nil && s.held.lost() {
		return s, nil
	}
	return s, s.held
}

// begin notes that a run of this replica has the tick.
func (b *backlog) begin(s *stake, lease *redlock.Lease) *holding {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.held = &holding{lease, make(chan struct{})}
	return s.held
}

// end notes that a run is over. A tick that is not known to be done stays.
func (b *backlog) end(s *stake, h *holding, done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(h.over)
	if s.held != h {
		return // it was lost, and another run of this replica has the tick
	}
	s.held = nil
	if done {
		b.removeLocked(s)
	}
}

// bequeath leaves a lease for the next run that comes.
func (b *backlog) bequeath(s *stake, lease *redlock.Lease) *heir {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heir = &heir{s, lease, make(chan struct{})}
	return b.heir
}

// inherit gives a run the lease that waits for one.
func (b *backlog) inherit() (*heir, *holding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.heir
	if h == nil || h.lease.Context().Err() != nil {
		return nil, nil
	}
	b.heir = nil
	h.stake.held = &holding{h.lease, make(chan struct{})}
	close(h.taken)
	return h, h.stake.held
}

// disinherit reports whether no run has picked the lease up, and then none will.
func (b *backlog) disinherit(h *heir) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.heir != h {
		return false
	}
	b.heir = nil
	return true
}

func (b *backlog) call() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.called++
}

// answered takes a run for one that the stand-by has asked for, if there are any.
func (b *backlog) answered() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.called == 0 {
		return false
	}
	b.called--
	return true
}

func (b *backlog) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.stakes)
}

// lost tells a lease that was lost from one that is held or is being given back.
func (h *holding) lost() bool { return errors.Is(context.Cause(h.lease.Context()), redlock.ErrLost) }

// wait returns when the run is over, has lost its lease, or ctx ends.
func (h *holding) wait(ctx context.Context) {
	select {
	case <-h.over:
		return
	case <-ctx.Done():
		return
	case <-h.lease.Context().Done():
	}
	if h.lost() {
		return
	}
	select {
	case <-h.over:
	case <-ctx.Done():
	}
}
