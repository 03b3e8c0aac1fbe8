package memredis

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

var keyCommands = map[string]command{
	"DEL":     {arity: -2, run: runDel},
	"EXISTS":  {arity: -2, run: runExists},
	"PEXPIRE": {arity: -3, run: runPExpire},
	"PTTL":    {arity: 2, run: runPTTL},
	"TYPE":    {arity: 2, run: runType},
	"KEYS":    {arity: 2, run: runKeys},
	"SCAN":    {arity: -2, run: runScan},
}

func runDel(s *Server, args []string) any {
	removed := int64(0)
	for _, key := range args[1:] {
		removed += flag(s.data.remove(key))
	}
	return removed
}

func runExists(s *Server, args []string) any {
	found := int64(0)
	for _, key := range args[1:] {
		found += flag(s.data.find(key) != nil)
	}
	return found
}

func runPExpire(s *Server, args []string) any {
	if len(args) > 3 && s.version < redis7 {
		return wrongArity(args)
	}
	if len(args) > 3 {
		return failure("ERR Unsupported option " + args[3])
	}
	ms, err := integer(args[2])
	if err != nil {
		return err
	}
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

func runType(s *Server, args []string) any {
	e := s.data.find(args[1])
	if e == nil {
		return status("none")
	}
	return status(e.typeName())
}

func (e *entry) typeName() string {
	switch e.value.(type) {
	case *hash:
		return "hash"
	case *sortedSet:
		return "zset"
	default:
		return "string"
	}
}

func runKeys(s *Server, args []string) any {
	keys := []any{}
	for _, e := range s.data.live(0) {
		if glob(args[1], e.key) {
			keys = append(keys, e.key)
		}
	}
	return keys
}

// scan is a SCAN without its cursor.
type scan struct {
	match, kind string
	count       int64
}

func runScan(s *Server, args []string) any {
	cursor, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return failure("ERR invalid cursor")
	}
	options, err := parseScan(args[2:])
	if err != nil {
		return err
	}
	if options.kind != "" && s.version < redis6 {
		return errSyntax
	}
	page := s.data.live(cursor)
	next := uint64(0)
	if int64(len(page)) > options.count {
		page = page[:options.count]
		next = page[len(page)-1].born
	}
	page = slices.DeleteFunc(page, func(e *entry) bool { return !options.wants(e) })
	keys := make([]any, 0, len(page))
	for _, e := range page {
		keys = append(keys, e.key)
	}
	return []any{strconv.FormatUint(next, 10), keys}
}

func (o scan) wants(e *entry) bool {
	return glob(o.match, e.key) && (o.kind == "" || strings.EqualFold(o.kind, e.typeName()))
}

func parseScan(args []string) (scan, error) {
	o := scan{match: "*", count: 10}
	for ; len(args) >= 2; args = args[2:] {
		switch strings.ToUpper(args[0]) {
		case "MATCH":
			o.match = args[1]
		case "TYPE":
			o.kind = args[1]
		case "COUNT":
			count, err := integer(args[1])
			if err != nil {
				return o, err
			}
			if count < 1 {
				return o, errSyntax
			}
			o.count = count
		default:
			return o, errSyntax
		}
	}
	if len(args) != 0 {
		return o, errSyntax
	}
	return o, nil
}
