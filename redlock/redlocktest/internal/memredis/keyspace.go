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
	value   any    // string or *collection
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
	found := slices.SortedFunc(maps.Values(k.entries), func(a, b *entry) int { return cmp.Compare(a.born, b.born) })
	return slices.DeleteFunc(found, func(e *entry) bool { return e.born <= after })
}

// text returns the string at key.
func (k *keyspace) text(key string) (text string, found bool) {
	e := k.find(key)
	if e == nil {
		return "", false
	}
	text, found = e.value.(string)
	if !found {
		panic(errWrongType)
	}
	return text, true
}

// A collection is a hash or a sorted set. A hash is in the order of insertion, as in
// Redis while it is small, and a sorted set by score and name.
type collection struct {
	kind    kind
	members []member
}

type kind string

const (
	hash      kind = "hash"
	sortedSet kind = "zset"
)

type member struct {
	name, value string
	score       float64
}

// collection calls its function with the collection at a key, or an empty one. It
// deletes the key if the collection is empty afterwards.
func (k *keyspace) collection(key string, kind kind, use func(c *collection) any) any {
	c := &collection{kind: kind}
	e := k.find(key)
	if e != nil {
		existing, _ := e.value.(*collection)
		if existing == nil || existing.kind != kind {
			panic(errWrongType)
		}
		c = existing
	}
	reply := use(c)
	switch {
	case len(c.members) == 0:
		k.remove(key)
	case e == nil:
		k.put(key, c)
	}
	return reply
}

func (c *collection) index(name string) int {
	return slices.IndexFunc(c.members, func(m member) bool { return m.name == name })
}

// get returns the value of a field, or nil.
func (c *collection) get(name string) any {
	if i := c.index(name); i >= 0 {
		return c.members[i].value
	}
	return nil
}

// set puts a member into its place and reports whether it is new.
func (c *collection) set(m member) (added bool) {
	i := c.index(m.name)
	if c.kind == hash && i >= 0 {
		c.members[i] = m
		return false
	}
	place := len(c.members)
	if c.kind == sortedSet {
		c.remove(m.name)
		place, _ = slices.BinarySearchFunc(c.members, m, func(a, b member) int {
			return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.name, b.name))
		})
	}
	c.members = slices.Insert(c.members, place, m)
	return i < 0
}

func (c *collection) remove(name string) bool {
	i := c.index(name)
	if i >= 0 {
		c.members = slices.Delete(c.members, i, i+1)
	}
	return i >= 0
}
