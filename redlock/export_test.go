package redlock

import "time"

// CompanionOf is what the names of a name's companion keys begin with.
var CompanionOf = companion

// WithJitter replaces what the pauses between rounds are drawn from: a random duration that is less than its argument.
func WithJitter(f func(time.Duration) time.Duration) Option { return func(c *config) { c.jitter = f } }

// Report tells the Locker's observer.
func Report(l *Locker, e Event) { l.reporter.observe(e) }
