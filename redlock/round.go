package redlock

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// round is one attempt at a vote. Each has a fresh token, so nothing that is
// late from one round can touch another.
type round struct {
	m      *Mutex
	bid    bid
	token  string
	start  time.Time
	ask    ask
	ballot *ballot
	first  int  // the node that was asked before the others, or -1
	peeked bool // the others were only asked who is there
}

func (m *Mutex) newRound(b bid) (*round, error) {
	token, err := m.cfg.newToken(b.tick)
	if err != nil {
		return nil, err
	}
	r := &round{m: m, bid: b, token: token, first: -1}
	r.ask = m.ask(b, token)
	return r, nil
}

// ask is the vote. The plain one is SET NX PX: it costs a server half of what
// a script does. GET makes it say who was there.
func (m *Mutex) ask(b bid, token string) ask {
	switch {
	case b.tick != 0:
		return m.claim(b.tick, token, "0")
	case m.cfg.fencing || m.cfg.guardWindow > 0:
		read := readVote
		if m.cfg.fencing {
			read = readFenced
		}
		return ask{script: acquireScript, read: read, cmd: acquireScript.command(
			m.guarded(m.keys.lock, m.keys.tombstone(token), m.keys.fence),
			token, m.ttl, flag(m.cfg.fencing), milliseconds(m.cfg.guardWindow))}
	}
	return ask{cmd: m.plain.acquire(token), read: readSet(token)}
}

// guarded adds the restart guard's key, which is in no name's slot, only where it is used.
func (m *Mutex) guarded(keys ...string) []string {
	if m.cfg.guardWindow > 0 {
		return append(keys, guardKey)
	}
	return keys
}

// peek asks who is there and changes nothing.
func (m *Mutex) peek(b bid, token string) ask {
	a := ask{cmd: driver.Command{"GET", m.keys.lock}, read: readSet(token)}
	if b.tick != 0 {
		a = m.claim(b.tick, token, "1")
	}
	read := a.read
	a.peek = true
	a.read = func(r driver.Reply) answer {
		reply := read(r)
		if reply.verdict == granted {
			reply.verdict = free
		}
		return reply
	}
	return a
}

// vote asks all nodes at once.
func (r *round) vote(ctx context.Context) (tally, error) {
	l := r.m.locker
	r.start = time.Now()
	r.ballot = l.putAll(r.ask, r.start.Add(r.m.cfg.validity()), false)
	l.post(r.ballot)
	return r.wait(ctx)
}

// wait gives up on nodes that do not answer, not on nodes that are busy: as
// long as a missing answer comes from one that keeps answering others, and it
// would still be in time, it is waited for.
func (r *round) wait(ctx context.Context) (tally, error) {
	limit := r.m.cfg.nodeTimeout
	for {
		t, err := r.ballot.wait(ctx, limit)
		if err != nil || t.certain() || !r.m.locker.busy(r.ballot, t) || time.Since(r.start) > r.m.cfg.validity()/2 {
			return t, err
		}
		limit = max(r.m.cfg.nodeTimeout/4, time.Millisecond)
	}
}

// voteInOrder asks the same node first as everybody else does, and the others
// only when it granted: whoever gets that one gets the rest, so contenders
// cannot split the vote again. A refusal by the first node alone is not a
// verdict; then the others are asked who is there.
func (r *round) voteInOrder(ctx context.Context, first int) (tally, error) {
	l := r.m.locker
	r.ballot = l.newBallot(len(l.boxes), l.quorum)
	r.start = r.ballot.start
	until := r.start.Add(r.m.cfg.validity())
	for range l.boxes {
		r.first = first
		r.ballot.await(first)
		l.boxes[first].post(r.ballot.put(first, r.ask, until, false))
		t, err := r.ballot.wait(ctx, r.m.cfg.nodeTimeout)
		if err != nil || t.certain() {
			return t, err
		}
		if v := t.answers[first].verdict; v != failed && v != pending {
			r.peeked = v != granted
			break
		}
		first = (first + 1) % len(l.boxes)
	}
	rest := r.ask
	if r.peeked {
		rest = r.m.peek(r.bid, r.token)
	}
	for i, box := range l.boxes {
		if r.ballot.calls[i].to == nil {
			box.post(r.ballot.put(i, rest, until, false))
		}
	}
	return r.wait(ctx)
}

// abort gives back what this round won or may still win. A vote that is under
// way is given back when its answer comes, and not at all when that is a
// refusal, as it mostly is.
func (r *round) abort(ctx context.Context) {
	if r.first >= 0 {
		r.abortInOrder(ctx)
		return
	}
	for i, v := range r.ballot.decided(r.late) {
		if r.sent(i) && (v == granted || v == failed) {
			r.m.locker.boxes[i].send(r.giveBack(), r.owing(), true)
		}
	}
}

// late gives back a vote that came after the decision. It is sent before what
// is in line: that may be our own next round.
func (r *round) late(node int) {
	if r.sent(node) {
		r.m.locker.boxes[node].postFirst(&call{to: nobody{}, ask: r.giveBack(), until: r.owing(), owed: true})
	}
}

// abortInOrder gives the node that was asked first its vote back last, after
// the others have acknowledged: whoever gets it next then finds them free.
func (r *round) abortInOrder(ctx context.Context) {
	l := r.m.locker
	back := r.giveBack()
	var others []int
	for i := range l.boxes {
		if i != r.first && r.owes(i) {
			others = append(others, i)
		}
	}
	acks := l.newBallot(len(others), len(others))
	for k, i := range others {
		l.boxes[i].post(acks.put(k, back, r.owing(), true))
	}
	if !r.owes(r.first) {
		return
	}
	if len(others) > 0 {
		_, _ = acks.wait(ctx, r.m.cfg.nodeTimeout)
	}
	l.boxes[r.first].send(back, r.owing(), true)
}

func (r *round) owing() time.Time { return time.Now().Add(r.m.cfg.owing()) }

// sent tells whether node i was sent this round's vote. One that is still in
// line is taken out.
func (r *round) sent(i int) bool {
	c := &r.ballot.calls[i]
	return c.to != nil && !c.peek && r.m.locker.boxes[i].withdraw(c)
}

// owes tells whether node i granted this round's token or still may.
func (r *round) owes(i int) bool {
	wasSent := r.sent(i)
	switch r.ballot.answer(i) {
	case granted, pending, failed:
		return wasSent
	}
	return false
}

// giveBack undoes the vote. Votes by script leave a tombstone; it outlives any
// copy of the vote that is still under way.
func (r *round) giveBack() ask {
	if r.ask.script == nil {
		return r.m.release(r.token, 0, false)
	}
	return r.m.abort(r.token, r.bid.tick)
}

// abort takes token off a node, with the tick if it has one, and keeps it off.
func (m *Mutex) abort(token string, tick int64) ask {
	keys := []string{m.keys.lock, m.keys.tombstone(token)}
	if tick != 0 {
		keys = append(keys, m.keys.tick(tick))
	}
	return ask{script: abortScript, read: readAck, cmd: abortScript.command(keys, token, milliseconds(2*m.cfg.ttl))}
}

// release is the plain compare-and-delete, which also wakes the next waiter if
// somebody may be waiting.
func (m *Mutex) release(token string, fence int64, wake bool) ask {
	a := ask{script: releaseScript, read: m.freed}
	switch {
	case fence != 0:
		a.cmd = releaseScript.command([]string{m.keys.lock, m.keys.waiters, m.keys.fence}, token, decimal(fence))
	case wake:
		a.cmd = m.plain.release(token)
	default:
		a.cmd = releaseScript.command([]string{m.keys.lock}, token)
	}
	return a
}

// lease makes the round a lease, if its validity has not ended by now. That is
// checked after counting: the votes may have come slowly.
func (r *round) lease(ctx context.Context, t tally) (*Lease, error) {
	m := r.m
	fence := r.bid.tick
	if m.cfg.fencing && fence == 0 {
		var err error
		if fence, err = r.fence(ctx, t); fence == 0 {
			return nil, err
		}
	}
	until := r.start.Add(m.cfg.validity())
	if !time.Now().Before(until) {
		return nil, nil
	}
	return newLease(ctx, r, fence, until), nil
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}
