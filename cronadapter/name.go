package cronadapter

import (
	"runtime"
	"sync"
	"weak"

	"github.com/redtick/redtick/redlock"
)

// names are those of all jobs of this process. They belong to the Locker, not
// to the adapter: the jobs of two adapters on one Locker have their keys in
// Redis in common, and would take each other's ticks.
var names = registry{owners: make(map[weak.Pointer[redlock.Locker]]map[string]*Adapter)}

type registry struct {
	mu     sync.Mutex
	owners map[weak.Pointer[redlock.Locker]]map[string]*Adapter
}

// reserve makes sure that a name is used once.
func (r *registry) reserve(a *Adapter, name string) error {
	if name == "" {
		return invalid("name is empty; every job needs its own, the same on all replicas: it is the key of its lock")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := weak.Make(a.locker)
	if r.owners[key] == nil {
		r.owners[key] = make(map[string]*Adapter)
		runtime.AddCleanup(a.locker, r.forget, key)
	}
	switch r.owners[key][name] {
	case nil:
		r.owners[key][name] = a
		return nil
	case a:
		return invalid("name %q belongs to another job of this adapter; two jobs of one name would take each other's ticks: choose another, or Remove that one first", name)
	}
	return invalid("name %q belongs to a job of another adapter on the same Locker; two jobs of one name would take each other's ticks: choose another, or Remove that one first", name)
}

func (r *registry) free(a *Adapter, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if owned := r.owners[weak.Make(a.locker)]; owned[name] == a {
		delete(owned, name)
	}
}

// freeAll frees the names of an adapter whose jobs run no more.
func (r *registry) freeAll(a *Adapter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, owner := range r.owners[weak.Make(a.locker)] {
		if owner == a {
			delete(r.owners[weak.Make(a.locker)], name)
		}
	}
}

func (r *registry) forget(key weak.Pointer[redlock.Locker]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owners, key)
}
