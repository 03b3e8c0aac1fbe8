package main_test

import (
	"testing"
	"time"

	command "github.com/redtick/redtick/cmd/redtick"
)

// Less than a second is neither "in 0s" nor "0s ago".
func TestText_away(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for from, want := range map[time.Duration]string{
		0: "now", 999 * time.Millisecond: "now", -999 * time.Millisecond: "now",
		time.Second: "in 1s", -1500 * time.Millisecond: "1s ago", time.Hour: "in 1h",
	} {
		if got := command.Away(now.Add(from), now); got != want {
			t.Errorf("%v from now: %q, want %q", from, got, want)
		}
	}
	if got := command.Away(time.Time{}, now); got != "-" {
		t.Errorf("an unknown instant: %q", got)
	}
}
