package cronadapter

import "github.com/redtick/redtick/internal/names"

// nameOwner has the names of an adapter's jobs, until Remove or Stop.
type nameOwner struct{ _ byte } // pointers to empty structs may be equal

func (*nameOwner) String() string { return "a job of another adapter" }
func (*nameOwner) Ended() bool    { return false }

// reserve makes sure that a name is used once on the adapter's Locker.
func (a *Adapter) reserve(name string) error {
	if name == "" {
		return invalid("name is empty; every job needs its own, the same on all replicas: it is the key of its lock")
	}
	other := names.Reserve(a.locker, name, &a.names, nil)
	switch {
	case other == nil:
		return nil
	case other == &a.names:
		return invalid("name %q belongs to another job of this adapter; two jobs of one name would take each other's ticks: choose another, or Remove that one first", name)
	}
	return invalid("name %q belongs to %s on the same Locker; two jobs of one name would take each other's ticks: choose another, or remove that one first", name, other)
}
