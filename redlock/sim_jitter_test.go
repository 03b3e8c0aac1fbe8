package redlock_test

import (
	"math/rand/v2"
	"sync"

	"github.com/redtick/redtick/redlock"
)

// seededJitter is empty as long as the core's own pauses cannot be seeded: then seeds with a split vote do not repeat to
// the nanosecond.
func seededJitter(*rand.Rand, *sync.Mutex) []redlock.Option { return nil }
