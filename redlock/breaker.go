package redlock

import (
	"fmt"
	"strings"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

const (
	// outAfter is how many batches in a row may go unanswered before the node is skipped.
	outAfter = 3
	// A node that is out is probed after firstProbe, then ever less often, up to lastProbe.
	firstProbe = 100 * time.Millisecond
	lastProbe  = 2 * time.Second
	// repeatAfter is when a release is sent once more to a node that left a batch unanswered.
	repeatAfter = time.Second
)

// breaker remembers how a node answers. Its mailbox guards it.
type breaker struct {
	limit    time.Duration // a batch that takes longer counts as unanswered, at least for those who wait
	since    time.Time     // when the batch under way was sent; zero between batches
	fails    int           // batches in a row without an answer
	probeAt  time.Time     // once out: nobody is let through before
	shaky    time.Time     // until then copies of commands may still be under way to the node
	cause    error         // why the last batch went unanswered
	answered bool          // the last batch was
	told     bool          // the observer was told that the node is out
}

// out: the node owes an answer for longer than the limit, or failed several
// times in a row and its next probe is not due.
func (k *breaker) out(now time.Time) bool {
	if !k.since.IsZero() && now.Sub(k.since) > k.limit {
		return true
	}
	return k.failing(now)
}

func (k *breaker) failing(now time.Time) bool {
	return k.fails >= outAfter && now.Before(k.probeAt)
}

// outError tells a refused caller why.
func (k *breaker) outError() error {
	if k.cause == nil {
		return ErrNodeOut
	}
	return fmt.Errorf("%w: %w", ErrNodeOut, k.cause)
}

// returned judges the batch under way: was any reply in it the server's?
func (k *breaker) returned(alive bool, cause error, now time.Time) {
	took := now.Sub(k.since)
	k.answered = alive
	k.since = time.Time{}
	if !alive || took > k.limit {
		k.shaky = now.Add(took + repeatAfter)
	}
	if alive {
		k.fails, k.cause = 0, nil
		return
	}
	k.fails++
	k.cause = cause
	k.probeAt = now.Add(min(firstProbe<<min(max(k.fails-outAfter, 0), 8), lastProbe))
}

// news tells whether the observer has yet to hear that the node is out, or back.
func (k *breaker) news(out bool) bool {
	changed := k.told != out
	k.told = out
	return changed
}

// answered: the server said something, be it an error. Its error codes are in
// capitals, a client's own errors are not.
func answered(r driver.Reply) bool {
	if r.Err == nil {
		return true
	}
	code, _, more := strings.Cut(r.Err.Error(), " ")
	return more && code != "" && code == strings.ToUpper(code) && code[0] >= 'A' && code[0] <= 'Z' && !strings.HasSuffix(code, ":")
}
