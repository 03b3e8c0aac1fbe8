package memredis

import (
	"cmp"
	"maps"
	"slices"
)

// keyspace is the data of one server. Expired keys are not visible. now is the time
// of the running command, and does not change within a script.
type keyspace struct {
	entries map[string]*entry
	born    uint64
	sweepAt int
	now     int64 // Unix ms by the server's clock
}

type entry struct {
	key     string
	value   any    // string, *hash or *sortedSet
	expires int64  // Unix ms by the server's clock, 0: never
	born    uint64 // a scan goes from old to new, so it misses no key that stays
}

func newKeyspace() *keyspace {
	return &keyspace{entries: make(map[string]*entry), sweepAt: 1024}
}

func (e *entry) expired(now int64) bool { return e.expires != 0 && now > e.expires }

func (k *keyspace) find(key string) *entry {
	e := k.entries[key]
	if e != nil && e.expired(k.now) {
		delete(k.entries, key)
		return nil
	}
	return e
}

// put returns the entry of key, made if it is missing.
func (k *keyspace) put(key string, value any) *entry {
	if e := k.find(key); e != nil {
		e.value = value
		return e
	}
	// Expired keys would otherwise accumulate in a test that spans days.
	if len(k.entries) >= k.sweepAt {
		k.sweep()
		k.sweepAt = 2*len(k.entries) + 1024
	}
	k.born++
	e := &entry{key: key, value: value, born: k.born}
	k.entries[key] = e
	return e
}

func (k *keyspace) remove(key string) bool {
	found := k.find(key) != nil
	delete(k.entries, key)
	return found
}

func (k *keyspace) sweep() {
	maps.DeleteFunc(k.entries, func(_ string, e *entry) bool { return e.expired(k.now) })
}

// live returns the entries made after the given one that have not expired, oldest
// first.
func (k *keyspace) live(after uint64) []*entry {
	k.sweep()
	var found []*entry
	for _, e := range k.entries {
		if e.born > after {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *entry) int { return cmp.Compare(a.born, b.born) })
	return found
}

// lookup finds a value of type T. A missing key is not an error; another type is.
func lookup[T any](k *keyspace, key string) (value T, found bool, err error) {
	e := k.find(key)
	if e == nil {
		return value, false, nil
	}
	value, found = e.value.(T)
	if !found {
		return value, false, errWrongType
	}
	return value, true, nil
}
