package main

import (
	"context"
	"time"
)

// locker is the locker under test, in one replica.
type locker interface {
	// acquire acquires a name. op is "lock" (wait), "try" or "claim" (of a tick).
	acquire(ctx context.Context, op, name string, tick time.Time) (lease, error)
	// reason returns one word for an error of acquire.
	reason(error) string
	// close delivers pending releases to the nodes.
	close(context.Context) error
}

// lease is the result of acquire.
type lease interface {
	token() string
	fence() int64 // 0 if the locker has none
	until() time.Time
	lost() <-chan struct{} // nil if the holder is not notified
	unlock(context.Context) error
}

// setup is the configuration of a replica.
type setup struct {
	Process string        // its name, which is unique to each of its starts
	Locker  string        // "redtick" or "redsync"
	Addrs   []string      // of the replica's links to the nodes
	TTL     time.Duration // of the locks
	Guard   bool          // nodes may restart empty
	Offset  time.Duration // of its wall clock
	Seed    uint64
	Dir     string
}

func (s setup) open() (locker, error) {
	if s.Locker == "redsync" {
		return openRedsync(s), nil
	}
	return openRedtick(s)
}

// Names in use. Fenced ones are locked with a fence if the locker supports it.
const (
	fencedLock = "fenced"
	plainLock  = "plain"
	shortJob   = "job-short" // lasts some milliseconds
	longJob    = "job-long"  // may last longer than the TTL
)

func allNames() []string { return []string{fencedLock, plainLock, shortJob, longJob} }
