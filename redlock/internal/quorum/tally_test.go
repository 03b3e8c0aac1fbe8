package quorum_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redtick/redtick/redlock/internal/quorum"
)

// kinds are all answers that matter: two tokens are enough to tell one from another.
var kinds = []quorum.Answer{
	{Verdict: quorum.Pending}, {Verdict: quorum.Granted}, {Verdict: quorum.Refused, Token: "a"}, {Verdict: quorum.Refused, Token: "b"},
	{Verdict: quorum.Done}, {Verdict: quorum.Stale}, {Verdict: quorum.TooFarAhead}, {Verdict: quorum.Paused}, {Verdict: quorum.Failed}, {Verdict: quorum.Vacant},
}

// every calls f with every combination of answers of n nodes.
func every(n int, f func([]quorum.Answer)) {
	answers := make([]quorum.Answer, n)
	var fill func(i int)
	fill = func(i int) {
		if i == n {
			f(slices.Clone(answers))
			return
		}
		for _, k := range kinds {
			answers[i] = k
			fill(i + 1)
		}
	}
	fill(0)
}

// outcome is what a caller makes of a tally.
func outcome(t *quorum.Tally) string {
	leader, led := t.Leader()
	switch {
	case t.Done > 0:
		return "done"
	case t.Won():
		return "won"
	case led:
		return "led by " + leader.Token
	case t.Blocks(t.Paused):
		return "paused"
	case t.Blocks(t.Stale):
		return "stale"
	case t.Blocks(t.TooFarAhead):
		return "too far ahead"
	}
	return "neither"
}

// nobodys reports whether an outcome leaves the vote to nobody. Half of an even number of nodes is enough for that, so that the
// halves may give two reasons.
func nobodys(outcome string) bool {
	return outcome != "done" && outcome != "won" && !strings.HasPrefix(outcome, "led by ")
}

// Certain means that no missing answer changes the outcome, unless it proves that the tick is done.
//
// Seen to fail when Certain ignores pending answers, when it counts refusals for all tokens together, and when a
// pause that the missing answers would prove is not waited for.
func TestTally_certain(t *testing.T) {
	for n := 1; n <= 5; n++ {
		every(n, func(answers []quorum.Answer) {
			tally := quorum.Count(answers, n/2+1)
			if !tally.Certain() {
				return
			}
			before := outcome(&tally)
			for i := range answers {
				if answers[i].Verdict != quorum.Pending {
					continue
				}
				for _, k := range kinds[1:] {
					if k.Verdict == quorum.Done {
						continue // a proof is one whenever it comes
					}
					more := slices.Clone(answers)
					more[i] = k
					after := quorum.Count(more, n/2+1)
					if got := outcome(&after); got != before && !(n%2 == 0 && nobodys(got) && nobodys(before)) {
						t.Fatalf("%v is certain to be %s, but %v is %s", answers, before, more, got)
					}
				}
			}
		})
	}
}

// A complete tally is certain.
func TestTally_complete(t *testing.T) {
	every(4, func(answers []quorum.Answer) {
		tally := quorum.Count(answers, 3)
		if tally.Pending == 0 && !tally.Certain() {
			t.Fatalf("%v has all answers and is not certain", answers)
		}
	})
}

// n nodes block exactly when the others are too few for a quorum.
//
// Seen to fail when half of an even number does not block.
func TestTally_blocks(t *testing.T) {
	for nodes := 1; nodes <= 9; nodes++ {
		tally := quorum.Count(make([]quorum.Answer, nodes), nodes/2+1)
		for n := 0; n <= nodes; n++ {
			if got, want := tally.Blocks(n), nodes-n < nodes/2+1; got != want {
				t.Errorf("%d of %d nodes block: %v, want %v", n, nodes, got, want)
			}
		}
	}
}

// A fence is agreed on when a majority names the largest one.
func TestTally_fence(t *testing.T) {
	for _, c := range []struct {
		fences []int64
		want   int64
		agreed bool
	}{
		{[]int64{5, 5, 0}, 5, true}, {[]int64{5, 6, 0}, 6, false}, {[]int64{6, 5, 6}, 6, true}, {[]int64{5, 5, 6}, 6, false}, {[]int64{0, 0, 0}, 0, false},
	} {
		t.Run(fmt.Sprint(c.fences), func(t *testing.T) {
			answers := make([]quorum.Answer, len(c.fences))
			for i, f := range c.fences {
				if f != 0 {
					answers[i] = quorum.Answer{Verdict: quorum.Granted, Fence: f}
				}
			}
			tally := quorum.Count(answers, 2)
			if got, agreed := tally.Fence(); got != c.want || agreed != c.agreed {
				t.Errorf("%d, %v; want %d, %v", got, agreed, c.want, c.agreed)
			}
		})
	}
}
