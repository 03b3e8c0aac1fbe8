package cronadapter

import (
	"context"
	"slices"
	"sync"
	"time"
)

// maxBacklog bounds how many ticks of a job wait. It is more than one a second for
// redlock.DefaultRetention; an older tick is refused in any case.
const maxBacklog = 1000

// backlog queues the ticks of one job on this replica. Only the first one asks the
// nodes: if a later tick were granted before it, redlock would regard it as done.
type backlog struct {
	mu      sync.Mutex
	queue   []chan struct{} // the first one is closed
	pending []time.Time     // ticks that came during a reload, to be claimed before later ones
	since   time.Time       // when cron first asked for ticks
}

// enter waits until the caller is first in the queue. Unless it fails, leave must
// be called at least once.
func (b *backlog) enter(ctx context.Context) (leave func(), err error) {
	turn, ok := b.add()
	if !ok {
		return nil, errBacklog
	}
	select {
	case <-turn:
		return sync.OnceFunc(func() { b.remove(turn) }), nil
	case <-ctx.Done(): // the job was removed or the adapter stopped
		return nil, context.Cause(ctx)
	}
}

func (b *backlog) add() (turn chan struct{}, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) > maxBacklog { // the first does not wait
		return nil, false
	}
	turn = make(chan struct{})
	b.queue = append(b.queue, turn)
	if len(b.queue) == 1 {
		close(turn)
	}
	return turn, true
}

func (b *backlog) remove(turn chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.queue, turn)
	b.queue = slices.Delete(b.queue, i, i+1)
	if i == 0 && len(b.queue) > 0 {
		close(b.queue[0])
	}
}

func (b *backlog) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)+len(b.pending) == 0
}

func (b *backlog) setPending(ticks []time.Time, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending, b.since = ticks, now
}

// after returns the instant after which to look for ticks that came during a
// reload. It is a second before the removal, since cron may have been late, but not
// before cron first asked. Ticks still pending from the reload before are included.
func (b *backlog) after(removal time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	after := removal.Add(-time.Second)
	switch {
	case len(b.pending) > 0:
		return b.pending[0].Add(-time.Nanosecond)
	case after.Before(b.since):
		return b.since
	}
	return after
}

// takePendingBefore removes the oldest pending tick if it is not after tick, and
// returns it if it is older.
func (b *backlog) takePendingBefore(tick time.Time) (older time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) == 0 || b.pending[0].After(tick) {
		return older, false
	}
	older, b.pending = b.pending[0], b.pending[1:]
	return older, older.Before(tick)
}
