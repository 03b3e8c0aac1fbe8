package memredis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// status is a reply such as OK. Drivers return it as a string, but scripts see the
// difference.
type status string

// failure is an error reply, its code first. A command may return it or panic with it.
type failure string

func (f failure) Error() string { return string(f) }

const (
	errWrongType  = failure("WRONGTYPE Operation against a key holding the wrong kind of value")
	errSyntax     = failure("ERR syntax error")
	errNotInteger = failure("ERR value is not an integer or out of range")
	errNotFloat   = failure("ERR value is not a valid float")
)

// command is one command of the server: run gets the name and the arguments
// and answers nil, int64, string, status, failure or a []any of these.
type command struct {
	arity int // as Redis counts: with the name, negative for "at least"
	keys  keys
	flags flags
	run   func(s *Server, args []string) any
}

// keys says which arguments are keys.
type keys int

const (
	noKey keys = iota
	firstIsKey
	allAreKeys
	countedKeys // their number is argument 2
)

type flags int

const (
	writes   flags = 1 << iota
	grows          // needs memory
	noData         // is executed without any
	noScript       // is not allowed in a script
)

// commands is filled by init, since scripts run commands and EVAL is one.
var commands map[string]command

func init() {
	commands = map[string]command{
		"GET":      {2, firstIsKey, 0, runGet},
		"MGET":     {-2, allAreKeys, 0, runMGet},
		"SET":      {-3, firstIsKey, writes | grows, runSet},
		"INCR":     {2, firstIsKey, writes | grows, runIncr},
		"GETRANGE": {4, firstIsKey, 0, runGetRange},

		"DEL":     {-2, allAreKeys, writes, runDel},
		"EXISTS":  {-2, allAreKeys, 0, runExists},
		"PEXPIRE": {3, firstIsKey, writes, runPExpire},
		"PTTL":    {2, firstIsKey, 0, runPTTL},
		"SCAN":    {-2, noKey, 0, runScan},

		"HSET":    {-4, firstIsKey, writes | grows, runHSet},
		"HGET":    {3, firstIsKey, 0, runHGet},
		"HMGET":   {-3, firstIsKey, 0, runHMGet},
		"HGETALL": {2, firstIsKey, 0, runHGetAll},
		"HDEL":    {-3, firstIsKey, writes, removeMembers(hash)},
		"HEXISTS": {3, firstIsKey, 0, runHExists},
		"HKEYS":   {2, firstIsKey, 0, runHKeys},

		"ZADD":            {-4, firstIsKey, writes | grows, runZAdd},
		"ZREM":            {-3, firstIsKey, writes, removeMembers(sortedSet)},
		"ZPOPMIN":         {2, firstIsKey, writes, runZPopMin},
		"ZRANGE":          {-4, firstIsKey, 0, runZRange},
		"ZCARD":           {2, firstIsKey, 0, runZCard},
		"ZREMRANGEBYRANK": {4, firstIsKey, writes, runZRemRangeByRank},

		"EVAL":    {-3, countedKeys, noScript, runEval},
		"EVALSHA": {-3, countedKeys, noScript, runEvalSHA},
		"SCRIPT":  {-2, noKey, noScript, runScript},

		"PING":     {1, noKey, 0, func(*Server, []string) any { return status("PONG") }},
		"TIME":     {1, noKey, noData, runTime},
		"FLUSHALL": {1, noKey, writes, runFlushAll},
		"PUBLISH":  {3, noKey, noData, func(s *Server, args []string) any { return s.publish(args[1], args[2]) }},
		"INFO":     {-1, noKey, noData, runInfo},
		"CONFIG":   {-3, noKey, noData | noScript, runConfig},
		"CLIENT":   {-2, noKey, noData | noScript, runClient},

		"SUBSCRIBE": {-2, noKey, noData | noScript, nil}, // a client's connection executes it
	}
}

func find(args []string) (c command, known bool) {
	c, known = commands[strings.ToUpper(args[0])]
	return c, known && c.run != nil
}

func (c command) accepts(args []string) bool {
	return len(args) == c.arity || c.arity < 0 && len(args) >= -c.arity
}

// keyCount returns the number of keys that a command names.
func (c command) keyCount(args []string) int64 {
	switch c.keys {
	case firstIsKey:
		return 1
	case allAreKeys:
		return int64(len(args) - 1)
	case countedKeys:
		n, _ := strconv.ParseInt(args[2], 10, 64)
		return n
	}
	return 0
}

func (c command) execute(s *Server, args []string) (reply any) {
	defer func() {
		switch raised := recover().(type) {
		case nil:
		case failure:
			reply = raised
		default:
			panic(raised)
		}
	}()
	return c.run(s, args)
}

// dispatch runs one command.
func (s *Server) dispatch(args []string) any {
	known, ok := find(args)
	if !ok {
		return s.unknownCommand(args)
	}
	if !known.accepts(args) {
		return wrongArity(args[0])
	}
	if err := s.Refused(args); err != nil && s.refuses {
		return err
	}
	return known.execute(s, args)
}

// dispatchInScript is dispatch with the refusals of redis.call.
func (s *Server) dispatchInScript(args []string) any {
	known, ok := find(args)
	switch {
	case !ok:
		return s.misuse("ERR Unknown Redis command called from script", "Unknown Redis command called from Lua script")
	case !known.accepts(args):
		return s.misuse("ERR Wrong number of args calling Redis command from script", "Wrong number of args calling Redis command From Lua script")
	case known.flags&noScript != 0:
		return s.misuse("ERR This Redis command is not allowed from script", "This Redis command is not allowed from scripts")
	}
	if known.flags&writes != 0 {
		// A script that has written runs to its end.
		if err := s.Refused(args); err != nil && s.refuses && s.refusal.inScript && !s.dirty {
			return s.misuse(err.Error(), "-"+err.Error()+"\r\n")
		}
		s.dirty = true
	}
	return known.execute(s, args)
}

// misuse is an error of the interpreter itself about a call, as worded before Redis 7
// and since.
type misuse string

func (s *Server) misuse(since7, before string) any {
	if s.version < redis7 {
		return misuse(before)
	}
	return failure(since7)
}

func wrongArity(name string) failure {
	return failure(fmt.Sprintf("ERR wrong number of arguments for '%s' command", strings.ToLower(name)))
}

func (s *Server) unknownCommand(args []string) failure {
	text, item := "ERR unknown command '%.128s', with args beginning with: %s", "'%.*s' "
	if s.version < redis7 {
		text, item = "ERR unknown command `%.128s`, with args beginning with: %s", "`%.*s`, "
	}
	var list strings.Builder
	for _, arg := range args[1:] {
		if list.Len() >= 128 {
			break
		}
		fmt.Fprintf(&list, item, 128-list.Len(), arg)
	}
	return failure(fmt.Sprintf(text, args[0], list.String()))
}

func integer(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	// Redis accepts only the canonical spelling of a number.
	if err != nil || strconv.FormatInt(n, 10) != text {
		panic(errNotInteger)
	}
	return n
}

func float(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) {
		panic(errNotFloat)
	}
	return f
}

// formatFloat formats like C's %.17g, which Redis 7.0 uses for scores and for numbers
// that a script passes to redis.call.
func formatFloat(f float64) string {
	switch {
	case math.IsInf(f, 0):
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	case math.IsNaN(f):
		return "nan"
	}
	return strconv.FormatFloat(f, 'g', 17, 64)
}

func flag(set bool) int64 {
	if set {
		return 1
	}
	return 0
}
