package main

import (
	"context"
	"time"
)

// locker is what is under test, as one replica sees it.
type locker interface {
	// acquire asks for a name: op is "lock" (wait), "try" or "claim" (of a tick).
	acquire(ctx context.Context, op, name string, tick time.Time) (lease, error)
	// reason is a word for why acquire refused.
	reason(error) string
	// close gives back what is owed to the nodes.
	close(context.Context) error
}

// lease is what acquire hands out.
type lease interface {
	token() string
	fence() int64 // 0: the locker has none
	until() time.Time
	lost() <-chan struct{} // nil: the holder is not told
	unlock(context.Context) error
}

// setup is what a replica is told.
type setup struct {
	Process string        // its name, which is unique to each of its starts
	Locker  string        // "redtick" or "redsync"
	Addrs   []string      // of the nodes, each behind a link of the replica's own
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

// The names that are used. Fenced ones are locked with a fence where the
// locker has one.
const (
	fencedLock = "fenced"
	plainLock  = "plain"
	shortJob   = "job-short" // lasts some milliseconds
	longJob    = "job-long"  // may last longer than the TTL
)

func allNames() []string { return []string{fencedLock, plainLock, shortJob, longJob} }
