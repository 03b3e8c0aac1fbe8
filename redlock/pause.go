package redlock

import (
	"errors"
	"fmt"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// errPausedHere is the error of a node with a pause that too few nodes have. The job is not paused, so it is not ErrPaused.
var errPausedHere = errors.New("the job is paused here, but not on a majority of the nodes; repeat redtick pause or redtick resume")

// describePause returns who paused the job, for how long and why. If nodes differ, the longest pause counts.
func describePause(tally quorum.Tally) (text string, remaining time.Duration) {
	var longest quorum.Answer
	for _, a := range tally.Answers {
		if a.Verdict == quorum.Paused && (longest.Verdict != quorum.Paused || a.Lasting || a.Remaining > longest.Remaining && !longest.Lasting) {
			longest = a
		}
	}
	by, why := protocol.DecodePause(longest.Token)
	if text = "until it is resumed"; !longest.Lasting {
		text = fmt.Sprintf("for another %v, until %s", longest.Remaining.Round(time.Millisecond), time.Now().Add(longest.Remaining).UTC().Format(time.RFC3339))
	}
	return protocol.PauseText(text, by, why), longest.Remaining
}
