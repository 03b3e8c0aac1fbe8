package redlock

import (
	"math"
	"time"
)

// CompanionOf is what the names of a name's companion keys begin with.
var CompanionOf = companion

// WithJitter replaces what the pauses between rounds are drawn from: a random duration that is less than its argument.
func WithJitter(f func(time.Duration) time.Duration) MutexOption {
	return mutexOption(func(c *config) { c.jitter = f })
}

// Unobserved leaves events out altogether, and with them the goroutine that tells them.
func Unobserved() LockerOption {
	return lockerOption(func(c *config) { c.least = math.MaxInt })
}
