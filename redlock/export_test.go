package redlock

import (
	"math"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// WithJitter replaces what the pauses between rounds are drawn from: a random duration that is less than its argument.
func WithJitter(f func(time.Duration) time.Duration) MutexOption {
	return mutexOption(func(c *config) { c.jitter = f })
}

// Unobserved leaves events out altogether, and with them the goroutine that tells them.
func Unobserved() LockerOption {
	return lockerOption(func(c *config) { c.minLevel = math.MaxInt })
}

// NodesOf are a Locker's nodes, for those who inspect them.
func NodesOf(l *Locker) (nodes []driver.Node) {
	for _, p := range l.group.Pipelines {
		nodes = append(nodes, p.Node())
	}
	return nodes
}

// OutagesOf counts the jobs whose outage a Locker remembers.
func OutagesOf(l *Locker) int { return int(l.outages.open.Load()) }

// Over is over.
var Over = over

// Suspend has a lease's validity go on as if its timer had stood still for so long.
func Suspend(l *Lease, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = l.until.Add(-d)
}
