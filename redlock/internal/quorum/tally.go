// Package quorum counts votes: a [Tally] is the state of a vote, a [Poll] puts
// a request to all nodes and wakes its caller once, when the outcome is certain.
package quorum

import (
	"fmt"
	"time"
)

// Verdict is what one node's reply means for the vote.
type Verdict uint8

// The verdicts.
const (
	Pending     Verdict = iota // no answer yet
	Granted                    // a vote for us
	Refused                    // a vote for another token
	Done                       // proof that the tick, or a later one, was granted to another owner
	Stale                      // the tick is older than the retention
	TooFarAhead                // the tick is too far ahead of the node's clock
	Paused                     // an operator paused the job
	Failed                     // no vote: no answer, an error, or the node abstains
	Vacant                     // a dry run found that a vote would be granted
)

// Answer is one node's reply, decoded.
type Answer struct {
	Verdict   Verdict
	Lasting   bool          // for a refusal or a pause: its key never expires
	Woke      bool          // for a release: it woke a waiter
	Token     string        // for a refusal: the other token; for a pause: who paused, and why
	Remaining time.Duration // how long the lock or the pause lasts on the node
	Last      int64         // the newest tick granted, if the request asks for it
	Fence     int64
	Err       error // for a failure, and for a pending release that has failed and is sent again
}

// Tally is the state of a vote, computed from the answers alone.
type Tally struct {
	Answers []Answer
	Quorum  int

	Granted, Refused, Done, Stale, TooFarAhead, Paused, Failed, Pending int

	most int // the most refusals that name one token
}

// Count returns the tally of answers. A majority is at least quorum of them.
func Count(answers []Answer, quorum int) Tally {
	var n [Vacant + 1]int
	most := 0
	for i := range answers {
		n[answers[i].Verdict]++
		if answers[i].Verdict == Refused {
			most = max(most, same(answers, i))
		}
	}
	return Tally{Answers: answers, Quorum: quorum, Granted: n[Granted], Refused: n[Refused], Done: n[Done], Stale: n[Stale],
		TooFarAhead: n[TooFarAhead], Paused: n[Paused], Failed: n[Failed], Pending: n[Pending], most: most}
}

// same counts the refusals that name the same token as the i-th.
func same(answers []Answer, i int) (n int) {
	for k := range answers {
		if answers[k].Verdict == Refused && answers[k].Token == answers[i].Token {
			n++
		}
	}
	return n
}

// Won reports whether a majority granted.
func (t *Tally) Won() bool { return t.Granted >= t.Quorum }

// Certain reports whether the missing answers cannot change the outcome, unless
// one proves that the tick is done. Either the tick is proven done, or a majority
// granted. Or no majority can grant any more, no answer can change whether another
// token has a majority, and no reason given so far, such as a pause, can still
// become the outcome. With an even number of nodes two reasons may each block;
// then the first to do so is the outcome.
func (t *Tally) Certain() bool {
	if t.Done > 0 || t.Won() {
		return true
	}
	return t.Granted+t.Pending < t.Quorum && (t.most >= t.Quorum || t.most+t.Pending < t.Quorum && t.explained())
}

// explained reports whether the missing answers cannot make one of the given reasons the outcome. Without this check a pause
// passes for a split vote while a node is down, and the claim retries until the pause ends.
func (t *Tally) explained() bool {
	for _, n := range [...]int{t.Paused, t.Stale, t.TooFarAhead} {
		if n > 0 && !t.Blocks(n) && t.Blocks(n+t.Pending) {
			return false
		}
	}
	return true
}

// Blocks reports whether n nodes are enough to deny everybody else a quorum.
// For an even number of nodes that is half of them, and no majority.
func (t *Tally) Blocks(n int) bool { return n > len(t.Answers)-t.Quorum }

// Missing counts the nodes that gave no vote. Once the outcome is certain, nodes
// that have not answered yet do not count.
func (t *Tally) Missing() int {
	if t.Certain() {
		return t.Failed
	}
	return t.Failed + t.Pending
}

// Lasting counts the refusals by keys that never expire.
func (t *Tally) Lasting() (n int) {
	for i := range t.Answers {
		if t.Answers[i].Verdict == Refused && t.Answers[i].Lasting {
			n++
		}
	}
	return n
}

// Leader returns the token that holds a majority of the nodes, if there is one,
// with its longest remaining time.
func (t *Tally) Leader() (leader Answer, ok bool) {
	if t.most < t.Quorum {
		return Answer{}, false
	}
	for i, a := range t.Answers {
		if a.Verdict == Refused && same(t.Answers, i) >= t.Quorum {
			leader.Token = a.Token
			leader.Remaining = max(leader.Remaining, a.Remaining)
		}
	}
	return leader, true
}

// MayLead reports whether the nodes that gave no answer decide whether a token has
// a majority.
func (t *Tally) MayLead() bool {
	return t.most < t.Quorum && t.most+t.Failed+t.Pending >= t.Quorum
}

// Fence returns the largest fence among the grants. agreed reports whether a
// majority returned it.
func (t *Tally) Fence() (fence int64, agreed bool) {
	n := 0
	for _, a := range t.Answers {
		switch {
		case a.Verdict != Granted || a.Fence < fence:
		case a.Fence > fence:
			fence, n = a.Fence, 1
		default:
			n++
		}
	}
	return fence, n >= t.Quorum
}

func (t *Tally) String() string {
	late := ""
	if n := t.Failed + t.Pending - t.Missing(); n > 0 {
		late = fmt.Sprintf(" %d not waited for,", n)
	}
	return fmt.Sprintf("of %d nodes %d voted for this call, %d for another's, %d gave no vote,%s and %d are needed",
		len(t.Answers), t.Granted, t.Refused, t.Missing(), late, t.Quorum)
}
