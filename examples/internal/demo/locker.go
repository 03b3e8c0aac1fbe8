package demo

import "fmt"

// Locker is the value of -locker.
type Locker string

// Lockers of a demo.
const (
	PerTick Locker = "redtick"
	PerRun  Locker = "redsync-style"
)

var lockers = map[Locker]string{
	PerTick: "With redtick each tick is claimed by one replica, and stays claimed when the run is over.",
	PerRun:  "With a redsync-style lock, free when the run is over, late replicas run the tick again.",
}

// ChooseLocker defines the flag -locker.
func ChooseLocker() *Locker {
	l := PerTick
	Choose(&l, "locker", fmt.Sprintf("%q, or %q to see the problem: a lock that is released when the run is over", PerTick, PerRun), lockers)
	return &l
}

// Explain describes what the view will show.
func (l *Locker) Explain() string { return lockers[*l] }
