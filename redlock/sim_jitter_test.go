package redlock_test

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
)

// seededJitter seeds the core's own pauses between the rounds of a vote.
func seededJitter(pauses *rand.Rand, mu *sync.Mutex) []redlock.LockerOption {
	return []redlock.LockerOption{redlock.WithJitter(func(limit time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(pauses.Int64N(int64(limit)))
	})}
}
