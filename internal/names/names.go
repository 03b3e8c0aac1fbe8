// Package names keeps apart the jobs that the adapters run on one Locker. Their
// keys in Redis are the Locker's, so two jobs of one name would take each other's
// ticks, whichever adapters or schedulers they belong to.
package names

import (
	"fmt"
	"maps"
	"sync"

	"github.com/redtick/redtick/redlock"
)

// Owner is who has a name. Its text is what errors call it. Owners are
// compared, so they must be pointers.
type Owner interface {
	fmt.Stringer
	// Ended reports whether its job is gone, so that the name is free. It may
	// take a while.
	Ended() bool
}

var (
	mu     sync.Mutex
	owners = map[*redlock.Locker]map[string]Owner{}
)

// Reserve gives a name to an owner, and returns nil. When another has it that
// has not ended and is not to be replaced, it returns that one.
func Reserve(l *redlock.Locker, name string, o, replaced Owner) Owner {
	for {
		other := take(l, name, o, replaced)
		if other == nil || !other.Ended() {
			return other
		}
		Free(l, name, other)
	}
}

func take(l *redlock.Locker, name string, o, replaced Owner) (other Owner) {
	mu.Lock()
	defer mu.Unlock()
	if other := owners[l][name]; other != nil && other != replaced {
		return other
	}
	if owners[l] == nil {
		owners[l] = map[string]Owner{}
	}
	owners[l][name] = o
	return nil
}

// Free ends a reservation, if it is the owner's.
func Free(l *redlock.Locker, name string, o Owner) {
	mu.Lock()
	defer mu.Unlock()
	if owners[l][name] == o {
		delete(owners[l], name)
	}
	dropEmpty(l)
}

// FreeAll ends all reservations of an owner.
func FreeAll(l *redlock.Locker, o Owner) {
	mu.Lock()
	defer mu.Unlock()
	maps.DeleteFunc(owners[l], func(_ string, other Owner) bool { return other == o })
	dropEmpty(l)
}

// dropEmpty lets go of a Locker without jobs. The caller holds mu.
func dropEmpty(l *redlock.Locker) {
	if len(owners[l]) == 0 {
		delete(owners, l)
	}
}
