package memredis

var hashCommands = map[string]command{
	"HSET":    {arity: -4, run: runHSet},
	"HGET":    {arity: 3, run: runHGet},
	"HMGET":   {arity: -3, run: runHMGet},
	"HGETALL": {arity: 2, run: runHGetAll},
	"HDEL":    {arity: -3, run: runHDel},
	"HEXISTS": {arity: 3, run: runHExists},
	"HKEYS":   {arity: 2, run: runHKeys},
	"HLEN":    {arity: 2, run: runHLen},
}

// withHash calls its function with the hash at a key, or an empty one.
func withHash(s *Server, key string, read func(h *hash) any) any {
	h, found, err := lookup[*hash](s.data, key)
	if err != nil {
		return err
	}
	if !found {
		h = newHash()
	}
	return read(h)
}

func runHSet(s *Server, args []string) any {
	if len(args)%2 != 0 {
		return failure("ERR wrong number of arguments for 'hset' command")
	}
	return withHash(s, args[1], func(h *hash) any {
		added := int64(0)
		for i := 2; i < len(args); i += 2 {
			added += flag(h.set(args[i], args[i+1]))
		}
		s.data.put(args[1], h)
		return added
	})
}

func runHGet(s *Server, args []string) any {
	return withHash(s, args[1], func(h *hash) any { return h.get(args[2]) })
}

func runHMGet(s *Server, args []string) any {
	return withHash(s, args[1], func(h *hash) any {
		values := make([]any, 0, len(args)-2)
		for _, field := range args[2:] {
			values = append(values, h.get(field))
		}
		return values
	})
}

func runHGetAll(s *Server, args []string) any {
	return withHash(s, args[1], func(h *hash) any {
		pairs := make([]any, 0, 2*len(h.fields))
		for _, field := range h.fields {
			pairs = append(pairs, field, h.values[field])
		}
		return pairs
	})
}

func runHDel(s *Server, args []string) any {
	return withHash(s, args[1], func(h *hash) any {
		removed := int64(0)
		for _, field := range args[2:] {
			removed += flag(h.remove(field))
		}
		if len(h.fields) == 0 {
			s.data.remove(args[1])
		}
		return removed
	})
}

func runHExists(s *Server, args []string) any {
	return withHash(s, args[1], func(h *hash) any { return flag(h.get(args[2]) != nil) })
}

func runHKeys(s *Server, args []string) any {
	return withHash(s, args[1], func(h *hash) any {
		fields := make([]any, 0, len(h.fields))
		for _, field := range h.fields {
			fields = append(fields, field)
		}
		return fields
	})
}

func runHLen(s *Server, args []string) any {
	return withHash(s, args[1], func(h *hash) any { return int64(len(h.fields)) })
}
