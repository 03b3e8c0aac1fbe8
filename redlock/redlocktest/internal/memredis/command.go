package memredis

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
)

// status is a reply such as OK. Drivers return it as a string, but scripts see the
// difference.
type status string

// failure is an error reply, its code first.
type failure string

func (f failure) Error() string { return string(f) }

const (
	errWrongType  = failure("WRONGTYPE Operation against a key holding the wrong kind of value")
	errSyntax     = failure("ERR syntax error")
	errNotInteger = failure("ERR value is not an integer or out of range")
	errNotFloat   = failure("ERR value is not a valid float")
)

// command is one command of the server: run gets the name and the arguments
// and answers nil, int64, string, status, an error or a []any of these.
type command struct {
	arity    int // as Redis counts: with the name, negative for "at least"
	topLevel bool
	run      func(s *Server, args []string) any
}

// commands is filled by init, since scripts run commands and EVAL is one.
var commands = make(map[string]command)

func init() {
	for _, table := range []map[string]command{
		stringCommands, hashCommands, sortedSetCommands, keyCommands, scriptCommands, serverCommands,
	} {
		maps.Copy(commands, table)
	}
}

func (c command) accepts(args []string) bool {
	return len(args) == c.arity || c.arity < 0 && len(args) >= -c.arity
}

// dispatch runs one command.
func (s *Server) dispatch(args []string) any {
	known, ok := commands[strings.ToUpper(args[0])]
	if !ok {
		return s.unknownCommand(args)
	}
	if !known.accepts(args) {
		return wrongArity(args)
	}
	if err := s.Refused(args); err != nil && s.refuses {
		return err
	}
	return known.run(s, args)
}

// dispatchInScript is dispatch with the refusals of redis.call.
func (s *Server) dispatchInScript(args []string) any {
	known, ok := commands[strings.ToUpper(args[0])]
	switch {
	case !ok:
		return s.misuse("ERR Unknown Redis command called from script", "Unknown Redis command called from Lua script")
	case !known.accepts(args):
		return s.misuse("ERR Wrong number of args calling Redis command from script", "Wrong number of args calling Redis command From Lua script")
	case known.topLevel:
		return s.misuse("ERR This Redis command is not allowed from script", "This Redis command is not allowed from scripts")
	}
	if err := s.refusedInScript(args); err != nil && s.refuses {
		return s.misuse(err.Error(), "-"+err.Error()+"\r\n")
	}
	s.dirty = s.dirty || writes(args)
	return known.run(s, args)
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

func wrongArity(args []string) error {
	return failure(fmt.Sprintf("ERR wrong number of arguments for '%s' command", strings.ToLower(args[0])))
}

func (s *Server) unknownCommand(args []string) error {
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

func integer(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	// Redis accepts only the canonical spelling of a number.
	if err != nil || strconv.FormatInt(n, 10) != text {
		return 0, errNotInteger
	}
	return n, nil
}

func float(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) {
		return 0, errNotFloat
	}
	return f, nil
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
