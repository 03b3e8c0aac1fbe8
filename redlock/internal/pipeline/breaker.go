package pipeline

import (
	"errors"
	"fmt"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// ErrOut is the error for a node that is skipped because it did not answer.
var ErrOut = errors.New("redlock: node is out: it did not answer, and is probed now and then")

const (
	// outAfter is after how many unanswered batches in a row the node is skipped, and after how many refused ones it is
	// reported as out.
	outAfter = 3
	// A node that is out is probed after firstProbe, then at intervals that grow up to lastProbe.
	firstProbe, lastProbe = 100 * time.Millisecond, 500 * time.Millisecond
	// backAfter is how long a node that refuses votes must have refused none before an executed vote shows that it is back. A
	// replica executes those that lose, since they write nothing, and would come and go with each tick.
	backAfter = 10 * time.Second
	// afterHang is how long after an unanswered batch copies of its commands may still be executed.
	afterHang = time.Second
	// The limit on a batch's calls is halved after a slow batch and doubled after a fast full one. A large batch costs less per call.
	// But a slow node, or a process short of CPU, would not finish it before the timeout, and the node would count as hung.
	minBatch, maxBatch = 64, 1024
)

// breaker tracks whether a node answers. Its pipeline's mutex guards it.
type breaker struct {
	timeout      time.Duration // a batch that takes longer counts as unanswered for those who wait
	since        time.Time     // when the batch under way was sent; zero between batches
	fails        int           // batches in a row without an answer
	probeAt      time.Time     // when a failing node is asked next
	most         int           // how many calls the next batch may have
	suspectUntil time.Time     // until then copies of commands may still be executed
	cause        error         // why the last batch went unanswered
	answered     bool          // whether the last batch was answered
	refusals     int           // batches of votes in a row of which the server executed none
	refusal      error         // why not
	refusedAt    time.Time     // when it last refused
	reported     bool          // whether it is reported as out
}

// open reports whether to refuse calls: the batch under way is overdue, or the node is skipped.
func (b *breaker) open(now time.Time) bool {
	return !b.since.IsZero() && now.Sub(b.since) > b.timeout || b.skipping(now)
}

// skipping reports whether the node failed too often and its next probe is not due.
func (b *breaker) skipping(now time.Time) bool { return b.fails >= outAfter && now.Before(b.probeAt) }

// refusing reports whether the node answers but executes no votes. It is not skipped, since a refusal costs no time.
func (b *breaker) refusing() bool { return b.refusals >= outAfter }

// error says why the node is out.
func (b *breaker) error() error {
	switch {
	case b.cause != nil:
		return fmt.Errorf("%w: %w", ErrOut, b.cause)
	case b.refusing():
		return b.refusal
	}
	return ErrOut
}

// returned records the replies to the batch under way.
func (b *breaker) returned(batch []*Call, replies []driver.Reply, now time.Time) {
	alive, executed := false, false // at least one reply, or vote
	var cause, refusal error        // of the last reply, and of the last vote
	for i, c := range batch {
		cause = replies[i].Err
		alive = alive || driver.Answered(cause)
		if c.Class == Vote {
			executed, refusal = executed || Executed(cause), cause
		}
	}
	took := now.Sub(b.since)
	b.answered, b.since = alive, time.Time{}
	if !alive || took > b.timeout {
		b.suspectUntil = now.Add(took + afterHang)
	}
	switch {
	case took > b.timeout/2:
		b.most = max(b.most/2, minBatch)
	case took < b.timeout/4 && len(batch) >= b.most:
		b.most = min(2*b.most, maxBatch)
	}
	switch {
	case executed:
		if !b.refusing() || now.Sub(b.refusedAt) > backAfter {
			b.refusals = 0
		}
	case alive && refusal != nil:
		b.refusals++
		b.refusal, b.refusedAt = refusal, now
	}
	if alive {
		b.fails, b.cause = 0, nil
		return
	}
	b.fails++
	b.cause = cause
	b.probeAt = now.Add(min(firstProbe<<min(max(b.fails-outAfter, 0), 8), lastProbe))
}
