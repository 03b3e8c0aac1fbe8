package redlock

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
)

// HolderOf returns the holder part of a token ("hostname:pid" unless [WithHolder] is
// set): what comes before the last slash, or the whole token if it has none, as
// another library's may.
func HolderOf(token string) string { return protocol.HolderOf(token) }

// TickOf returns the tick for which a claim's token was made, in UTC, or the zero time
// for a lock's token.
func TickOf(token string) time.Time { return protocol.Instant(protocol.TickOf(token)) }

// tokenSource makes the random parts of tokens. It refuses repeated values, because two leases with one token would be taken for
// each other.
type tokenSource struct {
	random func() (string, error)

	mu     sync.Mutex
	recent [16]string
	oldest int // index in recent
}

// maxRandom keeps a token within what inspectors read of a key.
const maxRandom = 128

func (s *tokenSource) next() (string, error) {
	random, err := s.random()
	switch {
	case err != nil:
		return "", fmt.Errorf("redlock: the token function failed: %w", err)
	case random == "" || len(random) > maxRandom:
		return "", invalid("the token function returned %d bytes, must be 1 to %d; every call must return another, unguessable string", len(random), maxRandom)
	case strings.ContainsAny(random, protocol.Reserved):
		return "", invalid("the token function returned %q, must be without %q, which mark the tick and a detached token; leave them out", protocol.Clip(random), protocol.Reserved)
	}
	random = strings.ReplaceAll(random, "/", "_") // what comes after the last slash is not the holder
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.recent[:], random) {
		return "", invalid("the token function returned %q again within %d calls; every call must return another, unguessable string", protocol.Clip(random), len(s.recent))
	}
	s.recent[s.oldest] = random
	s.oldest = (s.oldest + 1) % len(s.recent)
	return random, nil
}
