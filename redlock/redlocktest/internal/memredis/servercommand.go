package memredis

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

var serverCommands = map[string]command{
	"PING":     {arity: -1, run: runPing},
	"TIME":     {arity: 1, run: runTime},
	"DBSIZE":   {arity: 1, run: func(s *Server, _ []string) any { return int64(len(s.data.live(0))) }},
	"FLUSHALL": {arity: -1, run: runFlush},
	"FLUSHDB":  {arity: -1, run: runFlush},
	"PUBLISH":  {arity: 3, run: func(s *Server, args []string) any { return s.publish(args[1], args[2]) }},
	"INFO":     {arity: -1, run: runInfo},
	"CONFIG":   {arity: -2, topLevel: true, run: runConfig},
	"CLIENT":   {arity: -2, topLevel: true, run: runClient},
}

func runPing(_ *Server, args []string) any {
	switch len(args) {
	case 1:
		return status("PONG")
	case 2:
		return args[1]
	}
	return failure("ERR wrong number of arguments for 'ping' command")
}

// runClient supports only CLIENT KILL TYPE pubsub.
func runClient(s *Server, args []string) any {
	if !strings.EqualFold(strings.Join(args[1:], " "), "kill type pubsub") {
		return failure("ERR this server knows of CLIENT only KILL TYPE pubsub")
	}
	return s.disconnect()
}

func runTime(s *Server, _ []string) any {
	micros := s.now().UnixMicro()
	second := time.Second.Microseconds()
	return []any{strconv.FormatInt(micros/second, 10), strconv.FormatInt(micros%second, 10)}
}

func runFlush(s *Server, args []string) any {
	if len(args) > 2 || len(args) == 2 && !isFlushMode(args[1]) {
		return errSyntax
	}
	clear(s.data.entries)
	return status("OK")
}

func isFlushMode(text string) bool {
	return strings.EqualFold(text, "ASYNC") || strings.EqualFold(text, "SYNC")
}

func runInfo(s *Server, args []string) any {
	aof := flag(s.config["appendonly"] == "yes")
	sections := []struct{ name, lines string }{
		{"Server", fmt.Sprintf("redis_version:%s\r\nredis_mode:standalone\r\nrun_id:%s\r\n", s.fullVersion, s.runID)},
		{"Memory", fmt.Sprintf("maxmemory:0\r\nmaxmemory_policy:%s\r\n", s.config["maxmemory-policy"])},
		{"Persistence", fmt.Sprintf("loading:0\r\naof_enabled:%d\r\n", aof)},
		{"Replication", fmt.Sprintf("role:master\r\nconnected_slaves:0\r\nmaster_replid:%s\r\n", s.replID)},
	}
	var found []string
	for _, section := range sections {
		wanted := func(arg string) bool {
			return strings.EqualFold(arg, section.name) ||
				slices.Contains([]string{"all", "default", "everything"}, strings.ToLower(arg))
		}
		if len(args) == 1 || slices.ContainsFunc(args[1:], wanted) {
			found = append(found, "# "+section.name+"\r\n"+section.lines)
		}
	}
	return strings.Join(found, "\r\n")
}

func runConfig(s *Server, args []string) any {
	switch strings.ToUpper(args[1]) {
	case "GET":
		return getConfig(s, args[2:])
	case "SET":
		return setConfig(s, args[2:])
	}
	return failure(fmt.Sprintf("ERR unknown subcommand '%.128s'. Try CONFIG HELP.", args[1]))
}

func getConfig(s *Server, patterns []string) any {
	if len(patterns) == 0 {
		return failure("ERR wrong number of arguments for 'config|get' command")
	}
	pairs := []any{}
	for _, name := range slices.Sorted(maps.Keys(s.config)) {
		if slices.ContainsFunc(patterns, func(p string) bool { return glob(strings.ToLower(p), name) }) {
			pairs = append(pairs, name, s.config[name])
		}
	}
	return pairs
}

func setConfig(s *Server, pairs []string) any {
	if len(pairs) == 0 || len(pairs)%2 != 0 {
		return failure("ERR wrong number of arguments for 'config|set' command")
	}
	for i := 0; i < len(pairs); i += 2 {
		if _, known := s.config[strings.ToLower(pairs[i])]; !known {
			return failure(fmt.Sprintf("ERR Unknown option or number of arguments for CONFIG SET - '%s'", pairs[i]))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		s.config[strings.ToLower(pairs[i])] = pairs[i+1]
	}
	return status("OK")
}
