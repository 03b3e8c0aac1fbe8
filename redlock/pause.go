package redlock

import (
	"errors"
	"fmt"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// errPausedHere is for a pause that too few nodes have. It does not match ErrPaused, since the job is not paused.
var errPausedHere = errors.New("the job is paused here, but not on a majority of the nodes; repeat redtick pause or redtick resume")

// describePause says who paused the job, for how long and why: of several pauses, the longest.
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
