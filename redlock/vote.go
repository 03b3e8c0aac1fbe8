package redlock

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// verdict is what one node's reply means for the vote.
type verdict uint8

const (
	pending verdict = iota // no answer yet
	granted                // for us
	refused                // another token is there
	done                   // proof that the tick was granted to another owner
	stale                  // the tick is older than the retention
	ahead                  // the tick is too far ahead of the node's clock
	failed                 // no vote: no answer, an error, or the node abstains
	free                   // nobody is there; the node was only asked
)

type answer struct {
	verdict   verdict
	token     string        // of a refusal: who is there
	remaining time.Duration // of a refusal: how long its lock lives
	last      int64         // of a refusal: the newest tick granted, as far as the node knows
	fence     int64
	err       error
}

// ask is a command and what its reply means.
type ask struct {
	cmd    driver.Command
	script *script
	read   func(driver.Reply) answer
	peek   bool // it changes nothing
}

// ballot is one question put to the nodes, and the count of the answers. Votes
// are counted where replies are read; whoever waits is woken once, when the
// outcome is certain.
type ballot struct {
	timers *sync.Pool
	quorum int
	start  time.Time
	// settled, if set, is called once instead of waking somebody. It must not block.
	settled func()
	// first is a node whose answer alone wakes whoever waits, or -1.
	first int
	// late, if set, is told of nodes that granted after the decision, or may have. It must not block.
	late func(node int)

	mu      sync.Mutex
	answers []answer
	calls   []call
	wake    chan struct{}
	certain bool
}

// newBallot takes one piece of memory for everything when there are few nodes,
// as there usually are.
func (l *Locker) newBallot(n, quorum int) *ballot {
	var v *ballot
	switch {
	case n == 1:
		few := new(struct {
			ballot
			answers [1]answer
			calls   [1]call
		})
		v = &few.ballot
		v.answers, v.calls = few.answers[:], few.calls[:]
	case n <= 5:
		few := new(struct {
			ballot
			answers [5]answer
			calls   [5]call
		})
		v = &few.ballot
		v.answers, v.calls = few.answers[:n], few.calls[:n]
	default:
		v = &ballot{answers: make([]answer, n), calls: make([]call, n)}
	}
	v.timers, v.quorum, v.start, v.first, v.wake = &l.timers, quorum, time.Now(), -1, make(chan struct{}, 2)
	return v
}

// put prepares the question to one node, not to be sent later than until.
func (v *ballot) put(node int, a ask, until time.Time, owed bool) *call {
	v.calls[node] = call{to: v, node: node, ask: a, until: until, owed: owed}
	return &v.calls[node]
}

// receive counts one node's answer.
func (v *ballot) receive(node int, r driver.Reply) {
	a := v.calls[node].read(r)
	v.mu.Lock()
	if v.answers[node].verdict == pending {
		v.answers[node] = a
	}
	news := !v.certain && v.tally().certain()
	v.certain = v.certain || news
	awaited := node == v.first
	late := v.late
	if a.verdict != granted && a.verdict != failed {
		late = nil
	}
	v.mu.Unlock()
	if late != nil {
		late(node)
	}
	switch {
	case news && v.settled != nil:
		v.settled()
	case news || awaited:
		v.rouse()
	}
}

// decided returns the verdicts so far. From now on late is told of nodes that
// grant, and of those that fail, since they may have granted.
func (v *ballot) decided(late func(node int)) []verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.late = late
	verdicts := make([]verdict, len(v.answers))
	for i := range v.answers {
		verdicts[i] = v.answers[i].verdict
	}
	return verdicts
}

// rouse never blocks: whoever waits looks at everything that has come.
func (v *ballot) rouse() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// await makes one node's answer alone wake whoever waits.
func (v *ballot) await(node int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.first = node
}

func (v *ballot) answer(node int) verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.answers[node].verdict
}

// wait returns the tally as soon as the outcome is certain, the limit has
// passed, or ctx ends; in the latter case with ctx's error.
func (v *ballot) wait(ctx context.Context, limit time.Duration) (tally, error) {
	timer, used := v.timers.Get().(*time.Timer)
	if used {
		timer.Reset(limit)
	} else {
		timer = time.NewTimer(limit)
	}
	var err error
	select {
	case <-v.wake:
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	timer.Stop()
	v.timers.Put(timer)
	return v.count(), err
}

func (v *ballot) count() tally {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.tally()
	t.answers = append([]answer(nil), v.answers...)
	return t
}

// tally is the state of a vote.
type tally struct {
	quorum                             int
	granted, refused, done, stale, far int
	most                               int // refusals that name the same token
	failed, pending                    int
	answers                            []answer
}

func (v *ballot) tally() tally {
	t := tally{quorum: v.quorum}
	for i := range v.answers {
		switch v.answers[i].verdict {
		case pending:
			t.pending++
		case granted:
			t.granted++
		case refused:
			t.refused++
		case done:
			t.done++
		case stale:
			t.stale++
		case ahead:
			t.far++
		case failed:
			t.failed++
		}
	}
	t.most = most(v.answers)
	return t
}

// certain: the tick is proven done, a majority granted, or none can any more
// and no other owner's is still in the making.
func (t tally) certain() bool {
	if t.done > 0 || t.granted >= t.quorum {
		return true
	}
	return t.granted+t.pending < t.quorum && (t.most >= t.quorum || t.most+t.pending < t.quorum)
}

func (t tally) won() bool { return t.granted >= t.quorum }

// missing counts the nodes that gave no vote. Those whose answer was not needed any more are not among them.
func (t tally) missing() int {
	if t.certain() {
		return t.failed
	}
	return t.failed + t.pending
}

// majority tells whether so many nodes are the way they are that no majority is left for anything else.
func (t tally) majority(n int) bool { return n > len(t.answers)-t.quorum }

// most counts the refusals that name the most frequent token.
func most(answers []answer) (n int) {
	for i := range answers {
		n = max(n, same(answers, answers[i]))
	}
	return n
}

func same(answers []answer, as answer) (n int) {
	for i := range answers {
		if as.verdict == refused && answers[i].verdict == refused && answers[i].token == as.token {
			n++
		}
	}
	return n
}

// leader is the one token that a majority of the nodes holds, if there is one.
func (t tally) leader() (a answer, ok bool) {
	for _, a := range t.answers {
		if same(t.answers, a) >= t.quorum {
			return t.confirmed(a.token), true
		}
	}
	return answer{}, false
}

// confirmed merges what the nodes say about token: the longest remaining time and the newest tick.
func (t tally) confirmed(token string) (merged answer) {
	for _, a := range t.answers {
		if a.verdict == refused {
			merged.last = max(merged.last, a.last)
			if a.token == token {
				merged.token = token
				merged.remaining = max(merged.remaining, a.remaining)
			}
		}
	}
	return merged
}

func (t tally) String() string {
	return fmt.Sprintf("of %d votes %d are ours, %d another's, %d missing, and %d are needed",
		len(t.answers), t.granted, t.refused, t.missing(), t.quorum)
}

// readSet reads the reply to SET NX GET: nothing was there, or who is. Our own
// token means that the driver resent a command that had been executed.
func readSet(token string) func(driver.Reply) answer {
	return func(r driver.Reply) answer {
		if a, ok := readFailure(r); ok {
			return a
		}
		holder, isString := r.Value.(string)
		switch {
		case r.Value == nil || holder == token:
			return answer{verdict: granted}
		case !isString:
			return unexpected(r)
		}
		return answer{verdict: refused, token: holder}
	}
}

// readCount reads the reply of the scripts that answer 1 for ours and 0 for not ours.
func readCount(r driver.Reply) answer {
	if a, ok := readFailure(r); ok {
		return a
	}
	switch r.Value {
	case int64(1):
		return answer{verdict: granted}
	case int64(0):
		return answer{verdict: refused}
	}
	return unexpected(r)
}

// readRelease reads the reply of the scripts that give back: as readCount, and
// 2 when a waiter was woken, which woke is told.
func readRelease(woke func()) func(driver.Reply) answer {
	return func(r driver.Reply) answer {
		if r.Value == int64(2) {
			woke()
			return answer{verdict: granted}
		}
		return readCount(r)
	}
}

// readAck takes any answer for an acknowledgement.
func readAck(r driver.Reply) answer {
	if a, ok := readFailure(r); ok {
		return a
	}
	return answer{verdict: granted}
}

// maxFence is where the scripts' numbers, which are doubles, stop telling one from the next. Microseconds get there in
// the year 2255. A larger one, carried to the other nodes, would end their counters.
const maxFence = 1 << 53

// readVote reads the reply of the acquire and claim scripts.
func readVote(r driver.Reply) answer {
	if a, ok := readFailure(r); ok {
		return a
	}
	fields, _ := r.Value.([]any)
	switch text(fields, 0) {
	case "GRANTED":
		fence := number(fields, 1)
		if fence < 0 || fence >= maxFence {
			return unexpected(r)
		}
		return answer{verdict: granted, fence: fence}
	case "SEEN", "TAKEN":
		return answer{verdict: refused, token: text(fields, 1), last: number(fields, 3),
			remaining: lifetime(number(fields, 2))}
	case "DONE":
		return answer{verdict: done, token: text(fields, 1)}
	case "STALE":
		return answer{verdict: stale}
	case "AHEAD":
		return answer{verdict: ahead}
	case "LOST":
		return answer{verdict: failed, err: errLostVote}
	case "DEAD":
		return answer{verdict: failed, err: errDeadToken}
	case "YOUNG":
		return young(fields)
	}
	return unexpected(r)
}

func young(fields []any) answer {
	return answer{verdict: failed, err: fmt.Errorf("%w; it votes again in %v (a fresh fleet is started with Locker.Bootstrap)",
		ErrNodeYoung, time.Duration(number(fields, 1))*time.Millisecond)}
}

// readExtend reads the reply to an extension: as readCount, or that the node abstains.
func readExtend(r driver.Reply) answer {
	if fields, _ := r.Value.([]any); r.Err == nil && text(fields, 0) == "YOUNG" {
		return young(fields)
	}
	return readCount(r)
}

// readFenced is readVote for those who need a fence: a grant without one is none.
func readFenced(r driver.Reply) answer {
	a := readVote(r)
	if a.verdict == granted && a.fence == 0 {
		return unexpected(r)
	}
	return a
}

// readFailure sorts out replies that are no vote. A key of another type is
// somebody's data: it takes the name as surely as a lock does.
func readFailure(r driver.Reply) (answer, bool) {
	switch {
	case r.Err == nil:
		return answer{}, false
	case strings.HasPrefix(r.Err.Error(), "WRONGTYPE"):
		return answer{verdict: refused, token: "data that is not a lock; choose another name or WithPrefix"}, true
	}
	return answer{verdict: failed, err: r.Err}, true
}

// lifetime is a PTTL as a duration: 0 for a key that is gone or never expires, and never more than a duration holds.
func lifetime(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
}

func unexpected(r driver.Reply) answer {
	reply := clip(fmt.Sprint(r.Value))
	return answer{verdict: failed, err: fmt.Errorf("unexpected reply %s (%T); is this address a Redis server?", reply, r.Value)}
}

func text(fields []any, i int) string {
	if i < len(fields) {
		s, _ := fields[i].(string)
		return s
	}
	return ""
}

// number reads an integer that a script answered as such or as text, or 0.
func number(fields []any, i int) int64 {
	if i < len(fields) {
		if n, ok := fields[i].(int64); ok {
			return n
		}
	}
	n, _ := strconv.ParseInt(text(fields, i), 10, 64)
	return n
}
