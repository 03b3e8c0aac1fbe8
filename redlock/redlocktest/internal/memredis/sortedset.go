package memredis

import (
	"cmp"
	"slices"
)

// sortedSet keeps its members in order.
type sortedSet struct{ members []member }

type member struct {
	name  string
	score float64
}

func (z *sortedSet) index(name string) int {
	return slices.IndexFunc(z.members, func(m member) bool { return m.name == name })
}

func (z *sortedSet) insert(m member) {
	i, _ := slices.BinarySearchFunc(z.members, m, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.name, b.name))
	})
	z.members = slices.Insert(z.members, i, m)
}

func (z *sortedSet) remove(name string) bool {
	i := z.index(name)
	if i < 0 {
		return false
	}
	z.members = slices.Delete(z.members, i, i+1)
	return true
}
