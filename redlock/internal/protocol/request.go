package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

func request(s *pipeline.Script, decode func(driver.Reply) quorum.Answer, keys []any, args ...any) quorum.Request {
	return quorum.Request{Request: pipeline.Request{Command: s.Command(keys, args...), Script: s}, Decode: decode}
}

// Acquire returns the vote on a lock. The plain one is SET NX PX, which costs a
// server half of what a script does. GET makes a refusal name the holder.
func (n *Name) Acquire(token string) quorum.Request {
	if n.plain() {
		return quorum.Request{Request: pipeline.Request{Command: driver.Command{"SET", n.lock, token, "NX", "GET", "PX", n.ttl}, Legacy: lockScript}, Decode: decodeSet(token)}
	}
	return request(acquireScript, n.decode, n.withGuard(n.lock, n.dead(token), n.Fence),
		token, n.ttl, flag(n.Fencing), n.guard)
}

// plain reports whether a lock is acquired without a script.
func (p *Parameters) plain() bool { return !p.Fencing && p.Guard == 0 }

// withGuard adds the restart guard's key only if it is used, because it is in a hash slot of its own.
func (p *Parameters) withGuard(keys ...any) []any {
	if p.Guard > 0 {
		return append(keys, GuardKey)
	}
	return keys
}

// Claim returns the vote on a tick. Without an owner, the token is the owner.
func (n *Name) Claim(tick int64, token, owner string) quorum.Request {
	c, self, at := slices.Clone(n.vote), any(token), decimal(tick)
	keys, args := c[3:], c[n.voteArgs:]
	keys[0], keys[1], keys[2], keys[3], keys[4] = n.lock, n.tick(at), n.last, n.dead(token), n.pause
	if n.Fencing {
		keys[5] = n.fence
	}
	args[0], args[2], args[3] = self, at, self
	if owner != "" {
		args[3] = owner
	}
	return quorum.Request{Request: pipeline.Request{Command: c, Script: claimScript}, Decode: n.decode}
}

// prepareVote sets what all votes share.
func (p *Parameters) prepareVote() {
	keys := make([]any, 5, 7)
	p.decode = decodeVote
	if p.Fencing {
		keys, p.decode = append(keys, nil), decodeFenced
	}
	keys = p.withGuard(keys...)
	p.voteArgs = 3 + len(keys)
	p.vote = claimScript.Command(keys, nil, p.ttl, nil, nil, milliseconds(p.Retention), milliseconds(p.MaxSkew),
		milliseconds(max(p.Spacing, time.Millisecond)), string(p.Mode), p.guard, flag(p.Fencing))
	// claim.lua takes these for granted, so most votes need not send them.
	for _, standard := range [...]string{"0", "0", string(InOrder), "1"} {
		if p.vote[len(p.vote)-1] != standard {
			break
		}
		p.vote = p.vote[:len(p.vote)-1]
	}
}

// Look returns a dry run of a vote, which changes nothing. For a lock, tick is 0.
func (n *Name) Look(tick int64, token, owner string) quorum.Request {
	var r quorum.Request
	if tick != 0 {
		r = n.Claim(tick, token, owner)
		r.Command[n.voteArgs+1] = "" // without a TTL
	} else {
		r = request(lookScript, nil, []any{n.lock})
	}
	r.DryRun, r.Decode = true, decodeLook
	return r
}

// Stand raises a node's counter to fence, provided that the token holds the lock there.
func (n *Name) Stand(token string, fence int64) quorum.Request {
	return request(standScript, DecodeCount, []any{n.lock, n.Fence}, token, decimal(fence))
}

// Swap transfers the lock from one token to another. unused means that no handle
// relies on the old one.
func (n *Name) Swap(from, to string, unused bool) quorum.Request {
	keys := append(make([]any, 0, 5), n.lock, n.dead(from), n.dead(to))
	if n.Fencing {
		keys = append(keys, n.Fence)
	}
	return request(swapScript, n.decode, n.withGuard(keys...), from, to, n.ttl, longest, flag(n.Fencing), n.guard, flag(unused))
}

// longest is MaxTTL in ms. It is used where a token's TTL is not known.
var longest any = milliseconds(MaxTTL)

// Abort takes back a token's vote on a tick, or on the lock if tick is 0. It also bars
// late copies of the vote, except on a plain lock: SET does not check tombstones.
func (n *Name) Abort(token string, tick int64) quorum.Request {
	if tick == 0 && n.plain() {
		return n.Release(token, false)
	}
	return n.bar(token, tick, n.twoTTLs)
}

func (n *Name) bar(token string, tick int64, lifetime any) quorum.Request {
	keys := append(make([]any, 0, 3), n.lock, n.dead(token))
	if tick != 0 {
		keys = append(keys, n.Tick(tick))
	}
	return request(abortScript, DecodeCount, keys, token, lifetime)
}

// Bar takes the lock from a token, and bars the token for as long as a handle may try
// to extend it.
func (n *Name) Bar(token string) quorum.Request { return n.bar(token, 0, longest) }

// Extend keeps a lease alive.
func (n *Name) Extend(token string) quorum.Request {
	return request(extendScript, decodeExtend, n.withGuard(n.lock, n.dead(token)), token, n.ttl, n.guard)
}

// Release deletes the lock if the token holds it. With wake it wakes the next waiter.
func (n *Name) Release(token string, wake bool) quorum.Request {
	keys := []any{n.lock, n.waiters}
	if !wake {
		keys = keys[:1]
	}
	return request(releaseScript, DecodeCount, keys, token)
}

// Confirm tells a node that a majority granted the claim. It marks the tick, except
// under take-over, where only Finish does, and records the run if there is a history.
// If there is nothing to do, the request has no command.
func (n *Name) Confirm(r *Record, owner string) quorum.Request {
	marks := n.Mode != Takeover
	if !marks && n.History == 0 {
		return quorum.Request{}
	}
	mark, args := n.markAndNote(nil, r, owner, marks)
	keys := append(make([]any, 0, 3), mark)
	if n.History > 0 {
		keys = append(keys, n.lock, n.Runs)
	}
	return request(confirmScript, decodeAny, keys, args...)
}

// Finish releases the lock of a claim. It marks the tick as done if marks is set, and
// records the run's end. If begun is set, that replaces the record of its beginning.
func (n *Name) Finish(r *Record, owner string, marks, begun bool) quorum.Request {
	var before *Record
	if begun {
		before = &Record{Token: r.Token, Began: r.Began, Next: r.Next, Schedule: r.Schedule}
	}
	mark, args := n.markAndNote(before, r, owner, marks)
	keys := append(make([]any, 0, 4), n.lock, n.waiters, mark)
	if n.History > 0 {
		keys = append(keys, n.Runs)
	}
	return request(finishScript, DecodeCount, keys, args...)
}

// markAndNote returns the key of the mark, which proves that a tick was granted, and the arguments that Confirm and Finish share.
// With a history, these have the run's record, and the one before that it replaces.
func (n *Name) markAndNote(before, r *Record, owner string, marks bool) (mark any, args []any) {
	tick := r.Tick()
	mark, markOwner, lifetime := n.last, "", n.lastFor
	if n.Mode == AnyOrder {
		mark, markOwner, lifetime = n.Tick(tick), cmp.Or(owner, r.Token), n.grantedFor
	}
	switch {
	case !marks:
		lifetime = ""
	case n.KeepLast:
		lifetime = r.lifetime()
	}
	args = append(make([]any, 0, 8), r.Token, decimal(tick), markOwner, lifetime)
	if n.History > 0 {
		args = append(args, n.runsKept, before.Encode(), r.Encode(), r.lifetime())
	}
	return mark, args
}

// LastTick returns the query for the newest tick granted.
func (n *Name) LastTick() quorum.Request {
	return quorum.Request{Request: pipeline.Request{Command: driver.Command{"GET", n.last}}, Decode: decodeLast, DryRun: true}
}

// Enqueue puts a waiting process in line on a node. place is its former place there,
// or "". The answer's Token is its place, and Remaining is the remaining time of the
// holder's lock.
func (n *Name) Enqueue(waiter, place string) quorum.Request {
	return request(enqueueScript, decodePlace, []any{n.lock, n.waiters}, waiter, n.twoTTLs, place)
}

// Dequeue takes a process out of line.
func (n *Name) Dequeue(waiter string) pipeline.Request {
	return pipeline.Request{Command: driver.Command{"ZREM", n.waiters, waiter}}
}

// TryWrites returns the writes by which a lock is taken, renewed and released. They change nothing, because no token is "-" and so
// its key does not exist. They fail where a vote would: without the right, on a read-only replica, and when memory is full, because
// Redis then refuses every SET.
func (n *Name) TryWrites() []quorum.Request {
	key := n.dead("-")
	var writes []quorum.Request
	for _, c := range []driver.Command{{"SET", key, "", "XX", "PX", "1"}, {"PEXPIRE", key, "1"}, {"DEL", key}} {
		writes = append(writes, quorum.Request{Request: pipeline.Request{Command: c}, Decode: decodeAny, DryRun: true})
	}
	return writes
}

// Bootstrap declares a node without data to be new.
func Bootstrap() quorum.Request {
	return request(bootstrapScript, decodeBootstrap, []any{GuardKey})
}

func flag(on bool) any {
	if on {
		return "1"
	}
	return "0"
}
