package memredis

import (
	"maps"
	"slices"
	"strings"
)

// refusal is an error with which a server in a bad state answers some commands
// instead of executing them.
type refusal struct {
	text     failure
	concerns func(args []string) bool
	inScript bool // the script runs until it calls such a command
}

var refusals = map[string]refusal{
	"BUSY":        {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", anything, false},
	"CLUSTERDOWN": {"CLUSTERDOWN The cluster is down", hasKeys, false},
	"LOADING":     {"LOADING Redis is loading the dataset in memory", needsData, false},
	"MASTERDOWN":  {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", needsData, false},
	"MISCONF": {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. " +
		"Commands that may modify the data set are disabled, because this instance is configured to report errors during " +
		"writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). " +
		"Please check the Redis logs for details about the RDB error.", writesOrPings, true},
	"NOREPLICAS": {"NOREPLICAS Not enough good replicas to write.", writes, true},
	"OOM":        {"OOM command not allowed when used memory > 'maxmemory'.", grows, true},
	"READONLY":   {"READONLY You can't write against a read only replica.", writes, true},
	"TRYAGAIN":   {"TRYAGAIN Multiple keys request during rehashing of slot", hasManyKeys, false},
}

// olderWords is the text of MISCONF before 7.0.
var olderWords = strings.NewReplacer("it's currently unable to persist to disk", "it is currently not able to persist on disk")

// Refusals returns the codes that [Server.Refuse] supports, sorted.
func Refusals() []string { return slices.Sorted(maps.Keys(refusals)) }

// Refuse makes [Server.Serve] answer commands to which code applies with its error;
// "" ends that. It reports whether the code is supported.
func (s *Server) Refuse(code string) bool {
	r, known := refusals[code]
	s.refusal = r
	return known || code == ""
}

// Refused returns the error with which a client's command is refused now, or nil.
func (s *Server) Refused(args []string) error {
	r := s.refusal
	switch {
	case r.concerns == nil || !r.concerns(args):
		return nil
	case s.version < redis7:
		return failure(olderWords.Replace(string(r.text)))
	}
	return r.text
}

// refusedInScript is Refused for commands in a script. A script that has written runs
// to its end.
func (s *Server) refusedInScript(args []string) error {
	if s.dirty || !s.refusal.inScript || !writes(args) {
		return nil
	}
	return s.Refused(args)
}

func isOneOf(names ...string) func(args []string) bool {
	return func(args []string) bool { return slices.Contains(names, strings.ToUpper(args[0])) }
}

var (
	grows         = isOneOf("SET", "INCR", "HSET", "ZADD")
	writes        = isOneOf("SET", "INCR", "HSET", "ZADD", "DEL", "PEXPIRE", "HDEL", "ZREM", "ZREMRANGEBYRANK", "ZPOPMIN", "FLUSHALL", "FLUSHDB")
	writesOrPings = func(args []string) bool { return writes(args) || strings.EqualFold(args[0], "PING") }
	withoutData   = isOneOf("TIME", "INFO", "CONFIG", "CLIENT", "PUBLISH", "SUBSCRIBE")
)

func anything([]string) bool         { return true }
func needsData(args []string) bool   { return !withoutData(args) }
func hasKeys(args []string) bool     { return keyCount(args) > 0 }
func hasManyKeys(args []string) bool { return keyCount(args) > 1 }

// keyCount returns the number of keys that a command names.
func keyCount(args []string) int64 {
	switch name := strings.ToUpper(args[0]); name {
	case "PING", "TIME", "DBSIZE", "FLUSHALL", "FLUSHDB", "PUBLISH", "SUBSCRIBE", "INFO", "CONFIG", "CLIENT", "SCRIPT", "KEYS", "SCAN":
		return 0
	case "DEL", "EXISTS":
		return int64(len(args) - 1)
	case "EVAL", "EVALSHA":
		if len(args) < 3 {
			return 0
		}
		n, _ := integer(args[2])
		return n
	}
	return int64(min(1, len(args)-1))
}
