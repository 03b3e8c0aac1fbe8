package cronadapter

import (
	"context"
	"slices"
	"sync"
	"time"
)

// maxBacklog bounds the ticks of a job that wait. It is more than one a second
// for redlock.DefaultRetention; those that are older are refused anyway.
const maxBacklog = 1000

// backlog lets the ticks of one job wait for their turn on this replica, in
// order: were a later one granted first, redlock would take those before for
// done. Only the first asks the nodes.
type backlog struct {
	mu    sync.Mutex
	turns []chan struct{} // closed for the first
	owed  []time.Time     // ticks that came during a reload: who has the turn asks for them first
	since time.Time       // when cron first asked for ticks
}

// enter waits for a turn, and then leave must be called, at least once.
func (b *backlog) enter(ctx context.Context) (leave func(), err error) {
	turn, ok := b.add()
	if !ok {
		return nil, errBacklog
	}
	select {
	case <-turn:
		return sync.OnceFunc(func() { b.remove(turn) }), nil
	case <-ctx.Done(): // the adapter was stopped, so nobody will have a turn
		return nil, context.Cause(ctx)
	}
}

func (b *backlog) add() (turn chan struct{}, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.turns) > maxBacklog { // the first does not wait
		return nil, false
	}
	turn = make(chan struct{})
	b.turns = append(b.turns, turn)
	if len(b.turns) == 1 {
		close(turn)
	}
	return turn, true
}

func (b *backlog) remove(turn chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.turns, turn)
	b.turns = slices.Delete(b.turns, i, i+1)
	if i == 0 && len(b.turns) > 0 {
		close(b.turns[0])
	}
}

func (b *backlog) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.turns)+len(b.owed) == 0
}

func (b *backlog) owe(ticks []time.Time, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owed, b.since = ticks, now
}

// after is where ticks are looked for that came during a reload: after a second before
// the removal, since cron may have been late, but not before cron first asked; or from
// where the reload before has not come to its end.
func (b *backlog) after(removal time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	after := removal.Add(-time.Second)
	switch {
	case len(b.owed) > 0:
		return b.owed[0].Add(-time.Nanosecond)
	case after.Before(b.since):
		return b.since
	}
	return after
}

// owedBefore takes the oldest tick that is owed, if it is older than this one.
func (b *backlog) owedBefore(tick time.Time) (older time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.owed) == 0 || b.owed[0].After(tick) {
		return older, false
	}
	older, b.owed = b.owed[0], b.owed[1:]
	return older, older.Before(tick)
}
