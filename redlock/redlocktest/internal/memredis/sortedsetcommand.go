package memredis

import (
	"slices"
	"strings"
)

var sortedSetCommands = map[string]command{
	"ZADD":    {arity: -4, run: runZAdd},
	"ZREM":    {arity: -3, run: runZRem},
	"ZPOPMIN": {arity: -2, run: runZPopMin},
	"ZRANGE":  {arity: -4, run: runZRange},
	"ZCARD":   {arity: 2, run: runZCard},

	"ZREMRANGEBYRANK": {arity: 4, run: runZRemRangeByRank},
}

// withSortedSet calls its function with the sorted set at a key, or an empty one. It
// deletes the key if the set is empty afterwards.
func withSortedSet(s *Server, key string, use func(z *sortedSet) any) any {
	z, found, err := lookup[*sortedSet](s.data, key)
	if err != nil {
		return err
	}
	if !found {
		z = new(sortedSet)
	}
	reply := use(z)
	switch {
	case len(z.members) == 0:
		s.data.remove(key)
	case !found:
		s.data.put(key, z)
	}
	return reply
}

func runZAdd(s *Server, args []string) any {
	onlyNew, onlyKnown := strings.EqualFold(args[2], "NX"), strings.EqualFold(args[2], "XX")
	pairs := args[2+flag(onlyNew || onlyKnown):]
	if len(pairs) == 0 || len(pairs)%2 != 0 {
		return errSyntax
	}
	added := make([]member, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		score, err := float(pairs[i])
		if err != nil {
			return err
		}
		added = append(added, member{pairs[i+1], score})
	}
	return withSortedSet(s, args[1], func(z *sortedSet) any { return addMembers(z, added, onlyNew, onlyKnown) })
}

func addMembers(z *sortedSet, members []member, onlyNew, onlyKnown bool) (added int64) {
	for _, m := range members {
		known := z.index(m.name) >= 0
		if known && onlyNew || !known && onlyKnown {
			continue
		}
		z.remove(m.name)
		z.insert(m)
		added += flag(!known)
	}
	return added
}

func runZRem(s *Server, args []string) any {
	return withSortedSet(s, args[1], func(z *sortedSet) any {
		removed := int64(0)
		for _, name := range args[2:] {
			removed += flag(z.remove(name))
		}
		return removed
	})
}

func runZPopMin(s *Server, args []string) any {
	count := int64(1)
	if len(args) > 3 {
		return errSyntax
	}
	if len(args) == 3 {
		var err error
		if count, err = integer(args[2]); err != nil || count < 0 {
			return failure("ERR value is out of range, must be positive")
		}
	}
	return withSortedSet(s, args[1], func(z *sortedSet) any {
		n := min(count, int64(len(z.members)))
		popped := memberReply(z.members[:n], true)
		z.members = z.members[n:]
		return popped
	})
}

func runZRange(s *Server, args []string) any {
	scores := len(args) == 5 && strings.EqualFold(args[4], "WITHSCORES")
	if len(args) > 4 && !scores {
		return errSyntax
	}
	return withRange(s, args, func(z *sortedSet, first, end int64) any { return memberReply(z.members[first:end], scores) })
}

func runZRemRangeByRank(s *Server, args []string) any {
	return withRange(s, args, func(z *sortedSet, first, end int64) any {
		z.members = slices.Delete(z.members, int(first), int(end))
		return end - first
	})
}

// withRange calls its function with a sorted set and the bounds of the range that the command names.
func withRange(s *Server, args []string, use func(z *sortedSet, first, end int64) any) any {
	start, err := integer(args[2])
	if err != nil {
		return err
	}
	stop, err := integer(args[3])
	if err != nil {
		return err
	}
	return withSortedSet(s, args[1], func(z *sortedSet) any {
		first, end := slice(start, stop, int64(len(z.members)))
		return use(z, first, end)
	})
}

// slice converts Redis' range, where negative numbers count from the end and stop is
// included, to Go's.
func slice(start, stop, length int64) (first, end int64) {
	if start < 0 {
		start = max(0, start+length)
	}
	if stop < 0 {
		stop += length
	}
	first, end = min(start, length), min(stop, length-1)+1
	return first, max(first, end)
}

func memberReply(members []member, scores bool) []any {
	reply := make([]any, 0, 2*len(members))
	for _, m := range members {
		reply = append(reply, m.name)
		if scores {
			reply = append(reply, formatFloat(m.score))
		}
	}
	return reply
}

func runZCard(s *Server, args []string) any {
	return withSortedSet(s, args[1], func(z *sortedSet) any { return int64(len(z.members)) })
}
