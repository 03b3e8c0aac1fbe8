package redlock

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// lines are this process's waiters: one line per name, of which only the first
// asks Redis, and one subscription per node that serves them all.
type lines struct {
	locker *Locker
	id     string

	mu        sync.Mutex
	byName    map[string]*line
	handed    map[string]time.Time // names that went to a waiter elsewhere, and when
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
	place   string        // its place in the line in Redis, kept when it has to get in line again

	released string // the token that the last notice was about; its lines guard it
	tries    int    // how often it was still met since
	served   bool   // it got the lock
	own      string // the token that it, or whoever was before it, gave back last
}

func newLines(l *Locker) *lines {
	id, _ := l.cfg.random()
	return &lines{locker: l, id: id, byName: map[string]*line{}, handed: map[string]time.Time{}, listeners: make([]listener, len(l.boxes))}
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

// courtesy is how long a process that has just given a name to a waiter lets
// others go first: long enough for the waiter to get it.
const courtesy = 250 * time.Millisecond

// handOver notes that a release of ours woke a waiter.
func (q *lines) handOver(name string) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for other, at := range q.handed {
		if now.Sub(at) > courtesy {
			delete(q.handed, other)
		}
	}
	q.handed[name] = now
}

// yields tells whether others go first.
func (q *lines) yields(name string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at, ok := q.handed[name]
	return ok && time.Since(at) <= courtesy
}

// leave gives the turn to the next. The last one also gets out of line in
// Redis, and gives a notice on if it makes no use of it.
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
	unused := s.released != "" && !s.served
	if len(at.spots) > 0 {
		next := at.spots[0]
		if unused {
			next.released, next.tries, next.own = s.released, 0, s.own
		}
		next.wake()
		return
	}
	delete(q.byName, s.name)
	if at.node >= 0 {
		out := ask{cmd: driver.Command{"ZREM", m.keys.waiters, q.id}, read: readAck}
		q.locker.boxes[at.node].send(out, time.Now().Add(m.cfg.ttl), false)
		if unused {
			q.pass(at.node, s.name, s.own)
		}
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

// notified passes a notice, "length:token" and the name, to the first in line.
// If nobody is left there, the next process gets it: a notice is for one
// waiter only, and must not be lost.
func (q *lines) notified(node int, notice string) {
	length, rest, _ := strings.Cut(notice, ":")
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > len(rest) {
		return // not ours
	}
	token, name := rest[:n], rest[n:]
	q.mu.Lock()
	defer q.mu.Unlock()
	if at := q.byName[name]; at != nil {
		at.spots[0].released, at.spots[0].tries = token, 0
		at.spots[0].wake()
		return
	}
	q.pass(node, name, "")
}

// pass wakes the next process in line and tells it that token is gone, or about to be.
func (q *lines) pass(node int, name, token string) {
	if token == "" {
		token = "-"
	}
	k := newKeys(name)
	next := ask{script: releaseScript, read: readAck, cmd: releaseScript.command([]string{k.lock, k.waiters}, token)}
	q.locker.boxes[node].send(next, time.Now().Add(time.Second), false)
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

// releasing tells how often the holder that was met is the one that the last
// notice said is gone: 0 when it is another. It stops believing the notice
// after ten times.
func (s *spot) releasing(refusal error) int {
	var met *Error
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	if !errors.As(refusal, &met) || met.Holder != s.released || s.tries >= 10 {
		return 0
	}
	s.tries++
	return s.tries
}

// gaveBack notes the token that a failed acquisition may have left on some nodes for a moment.
func (s *spot) gaveBack(refusal error) {
	var failed *Error
	if errors.As(refusal, &failed) {
		s.own = failed.token
	}
}

// turn waits to be the first in line.
func (s *spot) turn(ctx context.Context) error { return s.listenTo(ctx, nil) }

// rest waits for a signal, at most d.
func (s *spot) rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	return s.listenTo(ctx, timer.C)
}

func (s *spot) listenTo(ctx context.Context, timeout <-chan time.Time) error {
	select {
	case <-s.signal:
	case <-timeout:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	if s.lines.closed {
		return ErrClosed
	}
	return nil
}
