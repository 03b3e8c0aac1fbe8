// Package names keeps apart the jobs of a process that would take each other's
// ticks, whichever adapters or schedulers they belong to. A name counts in a
// space: what has the keys in Redis in common, such as a Locker.
package names

import (
	"fmt"
	"sync"
)

// Owner is who has a name. Its text is what errors call it. Owners are compared.
type Owner interface {
	fmt.Stringer
	// Ended reports whether its job is gone, so that the name is free. It may
	// take a while.
	Ended() bool
}

type place struct {
	space any
	name  string
}

type holding struct {
	owner Owner
	times int
}

var (
	mu    sync.Mutex
	taken = map[place]*holding{}
)

// Reserve gives a name to an owner, and returns nil. An owner that has it already
// has it once more, for as many calls of Free. When another one has it that has
// not ended and is not to be replaced, Reserve returns that one.
func Reserve(space any, name string, o, replaced Owner) Owner {
	for {
		other := take(place{space, name}, o, replaced)
		if other == nil || !other.Ended() {
			return other
		}
		Free(space, name, other)
	}
}

func take(p place, o, replaced Owner) (other Owner) {
	mu.Lock()
	defer mu.Unlock()
	h := taken[p]
	switch {
	case h == nil || h.owner == replaced:
		taken[p] = &holding{o, 1}
	case h.owner == o:
		h.times++
	default:
		return h.owner
	}
	return nil
}

// Free ends a reservation, if it is the owner's.
func Free(space any, name string, o Owner) {
	mu.Lock()
	defer mu.Unlock()
	p := place{space, name}
	if h := taken[p]; h == nil || h.owner != o {
		return
	}
	if taken[p].times--; taken[p].times == 0 {
		delete(taken, p)
	}
}
