package cronadapter

import "github.com/redtick/redtick/internal/names"

// String and Ended make a runner the owner of its name until Remove or Stop; see
// package names.
func (*runner) String() string { return "a job of another adapter" }
func (*runner) Ended() bool    { return false }

// reserve reserves the name on the adapter's Locker, or says who has it.
func (r *runner) reserve() error {
	if r.name == "" {
		return invalid("name is empty; every job needs its own, the same on all replicas: it is the key of its lock")
	}
	other := names.Reserve(r.a.locker, r.name, r, nil)
	switch of, cron := other.(*runner); {
	case other == nil:
		return nil
	case cron && of.a == r.a:
		return invalid("name %q belongs to another job of this adapter; two jobs of one name would take each other's ticks: choose another, or Remove that one first", r.name)
	}
	return invalid("name %q belongs to %s on the same Locker; two jobs of one name would take each other's ticks: choose another, or remove that one first", r.name, other)
}

func (r *runner) free() { names.Free(r.a.locker, r.name, r) }
