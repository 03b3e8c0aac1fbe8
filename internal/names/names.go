// Package names detects jobs of a process that have the same name and so would take
// each other's ticks, across all adapters and schedulers. Names are unique within a
// space, whose jobs share keys in Redis, such as a Locker.
package names

import (
	"fmt"
	"sync"
)

// Owner is the owner of a name. Errors print its text. Owners must be comparable.
type Owner interface {
	fmt.Stringer
	// Ended reports whether the owner's job is gone, so that the name is free. It
	// may block.
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

// Reserve reserves a name for o and returns nil. If another owner has the name, is
// not replaced and has not ended, Reserve returns that owner instead. An owner may
// reserve a name several times, and must then Free it as often.
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

// Free ends one reservation of a name, if o has it.
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
