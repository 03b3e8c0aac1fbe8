package memredis

import (
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

func runGet(s *Server, args []string) any {
	if text, found := s.data.text(args[1]); found {
		return text
	}
	return nil
}

// runMGet treats data of another type as missing, as Redis does.
func runMGet(s *Server, args []string) any {
	values := make([]any, len(args)-1)
	for i, key := range args[1:] {
		if e := s.data.find(key); e != nil {
			if text, ok := e.value.(string); ok {
				values[i] = text
			}
		}
	}
	return values
}

// runGetRange supports only non-negative indexes.
func runGetRange(s *Server, args []string) any {
	text, _ := s.data.text(args[1])
	first, last, size := integer(args[2]), integer(args[3]), int64(len(text))
	if first < 0 || last < 0 {
		return errNotInteger
	}
	return text[min(first, size):max(min(last+1, size), min(first, size))]
}

func runIncr(s *Server, args []string) any {
	n := int64(0)
	if text, found := s.data.text(args[1]); found {
		n = integer(text)
	}
	if n == math.MaxInt64 {
		return failure("ERR increment or decrement would overflow")
	}
	s.data.put(args[1], strconv.FormatInt(n+1, 10))
	return n + 1
}

// runSet supports the options NX, XX, GET and PX.
func runSet(s *Server, args []string) any {
	var missing, present, get bool
	var lifetime []string // one, if there is one
	for options := args[3:]; len(options) > 0; options = options[1:] {
		switch name := strings.ToUpper(options[0]); {
		case name == "NX" && !present:
			missing = true
		case name == "XX" && !missing:
			present = true
		case name == "GET" && s.version >= redis62:
			get = true
		case name == "PX" && len(options) > 1 && lifetime == nil:
			options = options[1:]
			lifetime = options[:1]
		default:
			return errSyntax
		}
	}
	if get && missing && s.version < redis7 {
		return errSyntax
	}
	expires := int64(0)
	if lifetime != nil {
		ms := integer(lifetime[0])
		if ms <= 0 || ms > math.MaxInt64-s.data.now {
			return failure("ERR invalid expire time in 'set' command")
		}
		expires = s.data.now + ms
	}
	var before any
	if get {
		before = runGet(s, args)
	}
	done := any(status("OK"))
	if exists := s.data.find(args[1]) != nil; missing && exists || present && !exists {
		done = nil
	} else {
		s.data.put(args[1], args[2]).expires = expires
	}
	if get {
		return before
	}
	return done
}

func runDel(s *Server, args []string) any {
	return count(args[1:], s.data.remove)
}

func runExists(s *Server, args []string) any {
	return count(args[1:], func(key string) bool { return s.data.find(key) != nil })
}

// count returns how often f is true.
func count(names []string, f func(name string) bool) any {
	n := int64(0)
	for _, name := range names {
		n += flag(f(name))
	}
	return n
}

func runPExpire(s *Server, args []string) any {
	ms := integer(args[2])
	if ms > math.MaxInt64-s.data.now {
		return failure("ERR invalid expire time in 'pexpire' command")
	}
	e := s.data.find(args[1])
	if e == nil {
		return int64(0)
	}
	e.expires = s.data.now + ms
	if ms <= 0 {
		s.data.remove(args[1])
	}
	return int64(1)
}

func runPTTL(s *Server, args []string) any {
	switch e := s.data.find(args[1]); {
	case e == nil:
		return int64(-2)
	case e.expires == 0:
		return int64(-1)
	default:
		return e.expires - s.data.now
	}
}

// runScan supports the options MATCH, with patterns as [path.Match] reads them, and COUNT.
func runScan(s *Server, args []string) any {
	cursor, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return failure("ERR invalid cursor")
	}
	pattern, size := "*", int64(10)
	options := args[2:]
	for ; len(options) >= 2; options = options[2:] {
		switch strings.ToUpper(options[0]) {
		case "MATCH":
			pattern = options[1]
		case "COUNT":
			if size = integer(options[1]); size < 1 {
				return errSyntax
			}
		default:
			return errSyntax
		}
	}
	if len(options) != 0 {
		return errSyntax
	}
	page := s.data.live(cursor)
	next := uint64(0)
	if int64(len(page)) > size {
		page = page[:size]
		next = page[len(page)-1].born
	}
	keys := []any{}
	for _, e := range page {
		if glob(pattern, e.key) {
			keys = append(keys, e.key)
		}
	}
	return []any{strconv.FormatUint(next, 10), keys}
}

// glob is path.Match, but in Redis * matches slashes as well.
func glob(pattern, text string) bool {
	withoutSlashes := strings.NewReplacer("/", "\x00")
	matched, _ := path.Match(withoutSlashes.Replace(pattern), withoutSlashes.Replace(text))
	return matched
}

func runHSet(s *Server, args []string) any {
	if len(args)%2 != 0 {
		return wrongArity(args[0])
	}
	return s.data.collection(args[1], hash, func(c *collection) any {
		added := int64(0)
		for i := 2; i < len(args); i += 2 {
			added += flag(c.set(member{name: args[i], value: args[i+1]}))
		}
		return added
	})
}

func runHGet(s *Server, args []string) any {
	return s.data.collection(args[1], hash, func(c *collection) any { return c.get(args[2]) })
}

func runHMGet(s *Server, args []string) any {
	return s.data.collection(args[1], hash, func(c *collection) any {
		values := make([]any, len(args)-2)
		for i, field := range args[2:] {
			values[i] = c.get(field)
		}
		return values
	})
}

func runHGetAll(s *Server, args []string) any {
	return s.data.collection(args[1], hash, func(c *collection) any {
		return list(c.members, func(m member) []any { return []any{m.name, m.value} })
	})
}

func runHExists(s *Server, args []string) any {
	return s.data.collection(args[1], hash, func(c *collection) any { return flag(c.index(args[2]) >= 0) })
}

func runHKeys(s *Server, args []string) any {
	return s.data.collection(args[1], hash, func(c *collection) any { return list(c.members, name) })
}

// list returns what f returns for each member.
func list(members []member, f func(m member) []any) []any {
	reply := []any{}
	for _, m := range members {
		reply = append(reply, f(m)...)
	}
	return reply
}

func name(m member) []any         { return []any{m.name} }
func nameAndScore(m member) []any { return []any{m.name, formatFloat(m.score)} }

func removeMembers(kind kind) func(s *Server, args []string) any {
	return func(s *Server, args []string) any {
		return s.data.collection(args[1], kind, func(c *collection) any { return count(args[2:], c.remove) })
	}
}

// runZAdd supports one member, and the options NX and XX.
func runZAdd(s *Server, args []string) any {
	ifNew, ifKnown := strings.EqualFold(args[2], "NX"), strings.EqualFold(args[2], "XX")
	rest := args[2+flag(ifNew || ifKnown):]
	if len(rest) != 2 {
		return errSyntax
	}
	m := member{name: rest[1], score: float(rest[0])}
	return s.data.collection(args[1], sortedSet, func(c *collection) any {
		if known := c.index(m.name) >= 0; known && ifNew || !known && ifKnown {
			return int64(0)
		}
		return flag(c.set(m))
	})
}

// runZPopMin pops one member.
func runZPopMin(s *Server, args []string) any {
	return s.data.collection(args[1], sortedSet, func(c *collection) any {
		n := min(1, len(c.members))
		popped := list(c.members[:n], nameAndScore)
		c.members = c.members[n:]
		return popped
	})
}

func runZRange(s *Server, args []string) any {
	element := name
	switch {
	case len(args) == 5 && strings.EqualFold(args[4], "WITHSCORES"):
		element = nameAndScore
	case len(args) > 4:
		return errSyntax
	}
	start, stop := integer(args[2]), integer(args[3])
	return s.data.collection(args[1], sortedSet, func(c *collection) any {
		first, end := bounds(start, stop, len(c.members))
		return list(c.members[first:end], element)
	})
}

func runZCard(s *Server, args []string) any {
	return s.data.collection(args[1], sortedSet, func(c *collection) any { return int64(len(c.members)) })
}

func runZRemRangeByRank(s *Server, args []string) any {
	start, stop := integer(args[2]), integer(args[3])
	return s.data.collection(args[1], sortedSet, func(c *collection) any {
		first, end := bounds(start, stop, len(c.members))
		c.members = slices.Delete(c.members, int(first), int(end))
		return end - first
	})
}

// bounds converts Redis' range, where negative numbers count from the end and stop is
// included, to Go's.
func bounds(start, stop int64, size int) (first, end int64) {
	length := int64(size)
	if start < 0 {
		start = max(0, start+length)
	}
	if stop < 0 {
		stop += length
	}
	first, end = min(start, length), min(stop, length-1)+1
	return first, max(first, end)
}
