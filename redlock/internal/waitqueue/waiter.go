package waitqueue

import (
	"container/list"
	"context"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// Waiter is a caller in line for a name. From Enter to Leave it is the first of its
// process. Only one goroutine may use it.
type Waiter struct {
	queue            *Queue
	line             *line
	name             *protocol.Name
	nodeTimeout, ttl time.Duration
	element          *list.Element // of the line
	signal           chan struct{} // its turn has come, or the name was released
	place            string        // in the line in Redis; kept when the process enqueues again on the same node
}

// Yield lets a waiter elsewhere go first if a release of this process has just
// woken it. This caller is nearer and would overtake it. There is one Yield for each
// hand-off: if the process yielded again after a release that woke nobody, two
// processes could yield to each other while the name is free.
func (w *Waiter) Yield(ctx context.Context) error {
	q := w.queue
	q.mu.Lock()
	grace := handoffGrace - time.Since(q.handedOff[w.name.Lock])
	delete(q.handedOff, w.name.Lock)
	q.mu.Unlock()
	if grace <= 0 {
		return nil
	}
	if _, listening := w.enqueue(ctx); !listening {
		return ctx.Err()
	}
	return w.sleep(ctx, grace)
}

// Wait waits until a retry may succeed: for a release notice, the end of the
// holder's lock, or a back-off, whichever comes first. holder is the token in the
// way, or "" if there is none; then Wait only backs off.
func (w *Waiter) Wait(ctx context.Context, holder string, backoff time.Duration) error {
	if holder == "" {
		return w.sleep(ctx, backoff)
	}
	if d, hurry := w.hurry(holder); hurry {
		return w.sleep(ctx, d)
	}
	remaining, listening := w.enqueue(ctx)
	if listening && remaining == 0 {
		// The lock was released before we were in line, so the notice may have gone to nobody.
		w.queue.mu.Lock()
		if w.line.released != holder {
			w.line.notice(holder)
		}
		w.queue.mu.Unlock()
		if d, hurry := w.hurry(holder); hurry {
			return w.sleep(ctx, d)
		}
	}
	if listening {
		// Notices are best effort, so also poll, at a quarter of the rate. After a TTL the place in line must be renewed.
		backoff = min(4*min(backoff, w.ttl), w.ttl)
	}
	if remaining > 0 {
		backoff = min(backoff-time.Millisecond, remaining) + time.Millisecond // so written, no sum overflows
	}
	return w.sleep(ctx, backoff)
}

// maxHurries is the number of quick retries after a notice.
const maxHurries = 8

// hurry reports whether to retry soon, and after what pause: the token in the way is the announced one. It is about to go,
// because a release may reach the node that announces it before the others.
func (w *Waiter) hurry(holder string) (d time.Duration, ok bool) {
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	if holder != w.line.released || w.line.hurries >= maxHurries {
		return 0, false
	}
	w.line.hurries++
	return 250 * time.Microsecond << (w.line.hurries - 1), true
}

// enqueue gets in line on the first node that answers and can notify, so that all processes use one line. It returns the
// remaining time of the holder's lock there.
func (w *Waiter) enqueue(ctx context.Context) (remaining time.Duration, listening bool) {
	q := w.queue
	for i := range q.group.Pipelines {
		if !q.listen(ctx, i, w.nodeTimeout) {
			continue
		}
		q.mu.Lock()
		if w.line.node != i {
			w.line.node, w.place = i, "" // a place is a time by that node's clock
		}
		q.mu.Unlock()
		p := q.group.NewPoll()
		p.AskOne(ctx, i, w.name.Enqueue(q.id, w.place), p.Start.Add(w.nodeTimeout), pipeline.Question)
		err := p.WaitForOne(ctx, w.nodeTimeout, i)
		if a := p.Tally().Answers[i]; err == nil && a.Verdict == quorum.Granted {
			w.place = a.Token
			return a.Remaining, true
		}
	}
	return 0, false
}

// Leave gives the turn to the next waiter. served means that this one got the lock.
// If it did not, a notice that it had is the next waiter's, here or in another
// process. The last waiter of this process also leaves the line in Redis.
func (w *Waiter) Leave(served bool) {
	q, l := w.queue, w.line
	q.mu.Lock()
	defer q.mu.Unlock()
	wasFirst := l.first() == w
	l.waiters.Remove(w.element)
	if served {
		l.released = ""
	}
	if next := l.first(); next != nil {
		if wasFirst {
			next.wake()
		}
		return
	}
	delete(q.lines, w.name.Lock)
	if l.node >= 0 {
		q.group.Pipelines[l.node].Send(w.name.Dequeue(q.id), time.Now().Add(w.ttl), pipeline.Question)
		if l.released != "" {
			q.pass(l.node, w.name)
		}
	}
	if len(q.lines) == 0 {
		q.idle.Reset(linger)
	}
}

func (w *Waiter) wake() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// sleep waits for a signal, but no longer than d.
func (w *Waiter) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	return w.await(ctx, timer.C)
}

func (w *Waiter) await(ctx context.Context, timeout <-chan time.Time) error {
	select {
	case <-w.signal:
	case <-timeout:
	case <-w.queue.closing.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
