// Package waitqueue lets callers wait for a name. The callers of one process form a
// line, and only the first of them asks Redis. The processes form a line in Redis,
// on the same node for all, and each release wakes the first process in it.
package waitqueue

import (
	"container/list"
	"context"
	"maps"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// Queue holds a process's waiters. It is safe for concurrent use.
type Queue struct {
	group   *quorum.Group
	id      string          // the process, in the lines in Redis
	closing context.Context // ends all waiting, now and later
	idle    *time.Timer     // ends the subscriptions; runs from when the last waiter has left
	unheard func(node string, cause error)

	mu            sync.Mutex
	lines         map[string]*line
	handedOff     map[string]time.Time // names that went to a waiter elsewhere, and when
	swept         time.Time            // when the old ones of these were last removed
	subscriptions []subscription       // to each node
}

// line is a process's waiters for one name, in order of arrival. The queue's mutex guards it.
type line struct {
	waiters  list.List // of *Waiter; a list, since thousands may leave from its middle at once
	node     int       // where the process is in line in Redis, or -1
	released string    // the token of the last notice, until a waiter gets the lock
	hurries  int       // quick retries since that notice
}

// first returns the first waiter, or nil.
func (l *line) first() *Waiter {
	if e := l.waiters.Front(); e != nil {
		return e.Value.(*Waiter)
	}
	return nil
}

// New returns a queue for the process called id. No other process may have that id.
// The end of closing ends all waiting, now and later; call Close then. unheard is
// called, once, when the subscription to a node that answers keeps failing.
func New(closing context.Context, group *quorum.Group, id string, unheard func(node string, cause error)) *Queue {
	q := &Queue{closing: closing, group: group, id: id, unheard: unheard, lines: map[string]*line{}, handedOff: map[string]time.Time{},
		subscriptions: make([]subscription, len(group.Pipelines))}
	q.idle = time.AfterFunc(linger, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(q.lines) == 0 {
			q.unsubscribe()
		}
	})
	q.idle.Stop()
	return q
}

// Enter waits until the caller is the first of this process in line for a name. The
// caller must call Leave. The only error is ctx's. Once closing has ended, Enter does
// not wait.
func (q *Queue) Enter(ctx context.Context, name *protocol.Name, nodeTimeout, ttl time.Duration) (*Waiter, error) {
	q.mu.Lock()
	l := q.lines[name.Lock]
	if l == nil {
		l = &line{node: -1}
		q.lines[name.Lock] = l
	}
	w := &Waiter{queue: q, line: l, name: name, nodeTimeout: nodeTimeout, ttl: ttl, signal: make(chan struct{}, 1)}
	w.element = l.waiters.PushBack(w)
	if l.first() == w {
		w.wake()
	}
	q.mu.Unlock()
	if err := w.await(ctx, nil); err != nil {
		w.Leave(false)
		return nil, err
	}
	return w, nil
}

// Close ends the subscriptions.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unsubscribe()
}

// handoffGrace is how long a process that has just released a name to a waiter
// elsewhere lets that waiter go first.
const handoffGrace = 250 * time.Millisecond

// HandedOff records that a release of this process woke a waiter for the name.
func (q *Queue) HandedOff(name string) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.swept) > handoffGrace {
		q.swept = now
		maps.DeleteFunc(q.handedOff, func(_ string, at time.Time) bool { return now.Sub(at) > handoffGrace })
	}
	q.handedOff[name] = now
}

// notify passes a notice, "length:token" followed by the name, to the first in
// line. A notice wakes one waiter and must not be lost, so if nobody waits here
// any more, the next process gets it.
func (q *Queue) notify(node int, notice string) {
	token, name, ok := protocol.DecodeNotice(notice)
	if !ok {
		return // not ours
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[name]
	if l == nil {
		q.pass(node, protocol.NewParameters(protocol.Settings{}).Name(name))
		return
	}
	l.notice(token)
}

// notice tells the first waiter that token is gone, or about to be. The caller holds the queue's mutex.
func (l *line) notice(token string) {
	l.released, l.hurries = token, 0
	l.first().wake()
}

// pass wakes the next process in line, by releasing a token that nobody has. It cannot release the announced token, whose
// holder may have released it on this node only.
func (q *Queue) pass(node int, name *protocol.Name) {
	q.group.Pipelines[node].Send(name.Release("-", true).Request, time.Now().Add(time.Second), pipeline.Question)
}
