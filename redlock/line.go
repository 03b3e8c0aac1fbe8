package redlock

import (
	"context"
	"sync"
	"time"
)

// lines are this process's waiters: one line per name, of which only the first
// asks Redis, and one subscription per node that serves them all.
type lines struct {
	locker *Locker
	id     string

	mu        sync.Mutex
	byName    map[string]*line
	listeners []listener
	closed    bool
}

type line struct {
	spots []*spot
	node  int // where this process is in line for the name, or -1
}

// spot is a place in a line.
type spot struct {
	lines   *lines
	name    string
	signal  chan struct{} // its turn has come, the name was released, or the Locker was closed
	hurried bool          // it asked at once, because the lock was free when it got in line
	eager   int           // how often it still asks in short succession
}

func newLines(l *Locker) *lines {
	id, _ := randomToken()
	return &lines{locker: l, id: id, byName: map[string]*line{}, listeners: make([]listener, len(l.boxes))}
}

func (q *lines) enter(name string) (*spot, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, ErrClosed
	}
	at := q.byName[name]
	if at == nil {
		at = &line{node: -1}
		q.byName[name] = at
	}
	s := &spot{lines: q, name: name, signal: make(chan struct{}, 1)}
	at.spots = append(at.spots, s)
	if len(at.spots) == 1 {
		s.wake()
	}
	return s, nil
}

// leave gives the turn to the next. The last one also gets out of line in Redis.
func (q *lines) leave(m *Mutex, s *spot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.byName[s.name]
	for i := range at.spots {
		if at.spots[i] == s {
			at.spots = append(at.spots[:i], at.spots[i+1:]...)
			break
		}
	}
	if len(at.spots) > 0 {
		at.spots[0].wake()
		return
	}
	delete(q.byName, s.name)
	if at.node >= 0 {
		out := ask{cmd: Command{"ZREM", m.keys.waiters, q.id}, read: readAck}
		q.locker.boxes[at.node].send(out, time.Now().Add(m.cfg.ttl), false)
	}
	if len(q.byName) == 0 {
		q.hush()
	}
}

// enlisted notes on which node this process is in line for a name.
func (q *lines) enlisted(name string, node int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at := q.byName[name]; at != nil {
		at.node = node
	}
}

// notified passes a notice to the first in line. If nobody is left there, the
// next process gets it: a notice is for one waiter only, and must not be lost.
func (q *lines) notified(node int, name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at := q.byName[name]; at != nil {
		at.spots[0].wake()
		return
	}
	k := newKeys(name)
	pass := ask{script: releaseScript, read: readAck, cmd: releaseScript.command([]string{k.lock, k.waiters}, "-", name, "1", "")}
	q.locker.boxes[node].send(pass, time.Now().Add(time.Second), false)
}

func (q *lines) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, at := range q.byName {
		for _, s := range at.spots {
			s.wake()
		}
	}
	for i := range q.listeners {
		q.listeners[i].stop()
	}
}

func (s *spot) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// turn waits to be the first in line.
func (s *spot) turn(ctx context.Context) error {
	_, err := s.listenTo(ctx, nil)
	return err
}

// rest waits for a signal, at most d.
func (s *spot) rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	notified, err := s.listenTo(ctx, timer.C)
	if notified {
		s.eager = eagerness
	}
	return err
}

func (s *spot) listenTo(ctx context.Context, timeout <-chan time.Time) (signalled bool, err error) {
	select {
	case <-s.signal:
		signalled = true
	case <-timeout:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	if s.lines.closed {
		return false, ErrClosed
	}
	return signalled, nil
}
