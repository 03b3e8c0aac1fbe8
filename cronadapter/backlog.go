package cronadapter

import (
	"context"
	"slices"
	"sync"
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
}

// enter waits for a turn, and then leave must be called.
func (b *backlog) enter(ctx context.Context) (leave func(), err error) {
	turn, ok := b.add()
	if !ok {
		return nil, errBacklog
	}
	select {
	case <-turn:
		return func() { b.remove(turn) }, nil
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
