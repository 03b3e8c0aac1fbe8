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

// Unobserved drops all events, so that there is no goroutine for the observer.
func Unobserved() LockerOption {
	return lockerOption(func(c *config) { c.minLevel = math.MaxInt })
}

// NodesOf returns a Locker's nodes.
func NodesOf(l *Locker) (nodes []driver.Node) {
	for _, p := range l.group.Pipelines {
		nodes = append(nodes, p.Node())
	}
	return nodes
}

// OutagesOf counts the jobs whose outage a Locker remembers.
func OutagesOf(l *Locker) int { return int(l.outages.open.Load()) }

// Over exports over.
var Over = over

// Suspend moves the end of a lease's validity back, as if the lease's timer had stood still for d.
func Suspend(l *Lease, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = l.until.Add(-d)
}
