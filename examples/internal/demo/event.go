package demo

import (
	"context"
	"errors"
	"time"

	"github.com/redtick/redtick/redlock"
)

// kind says what an event is about.
type kind string

const (
	ready   kind = "ready"   // the replica's schedule has started
	began   kind = "began"   // a run of a job began
	ended   kind = "ended"   // a run of a job ended
	refused kind = "refused" // the replica asked for a tick and did not get it
	trouble kind = "trouble" // an error to show; see Text
	gone    kind = "gone"    // the process has ended; sent by the parent
)

// event is one line of a replica's standard output.
type event struct {
	Kind    kind      `json:"kind"`
	Replica string    `json:"replica"`
	At      time.Time `json:"at"`
	Job     string    `json:"job,omitzero"`
	Tick    time.Time `json:"tick,omitzero"`
	Reason  string    `json:"reason,omitzero"`
	Text    string    `json:"text,omitzero"`
}

// Reasons of normal operation. For any other, the whole error is shown as trouble.
const (
	reasonDone    = "done"
	reasonTaken   = "taken"
	reasonStopped = "stopped"
)

// reason returns a word for a refusal that fits in the table.
func reason(err error) string {
	switch {
	case errors.Is(err, redlock.ErrTickDone):
		return reasonDone
	case errors.Is(err, redlock.ErrTaken):
		return reasonTaken
	case errors.Is(err, redlock.ErrNoQuorum):
		return "no quorum"
	case errors.Is(err, redlock.ErrTickStale):
		return "stale"
	case errors.Is(err, redlock.ErrClockSkew):
		return "clock skew"
	case errors.Is(err, context.Canceled), errors.Is(err, redlock.ErrClosed):
		return reasonStopped
	}
	return "error"
}
