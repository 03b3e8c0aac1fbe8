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
	concerns func(c command, args []string) bool
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
	"NOREPLICAS": {"NOREPLICAS Not enough good replicas to write.", flagged(writes), true},
	"OOM":        {"OOM command not allowed when used memory > 'maxmemory'.", flagged(grows), true},
	"READONLY":   {"READONLY You can't write against a read only replica.", flagged(writes), true},
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
	c, known := commands[strings.ToUpper(args[0])]
	switch {
	case r.concerns == nil || !known || !c.accepts(args) || !r.concerns(c, args):
		return nil
	case s.version < redis7:
		return failure(olderWords.Replace(string(r.text)))
	}
	return r.text
}

func flagged(f flags) func(c command, args []string) bool {
	return func(c command, _ []string) bool { return c.flags&f != 0 }
}

func writesOrPings(c command, args []string) bool {
	return c.flags&writes != 0 || strings.EqualFold(args[0], "PING")
}

func anything(command, []string) bool           { return true }
func needsData(c command, _ []string) bool      { return c.flags&noData == 0 }
func hasKeys(c command, args []string) bool     { return c.keyCount(args) > 0 }
func hasManyKeys(c command, args []string) bool { return c.keyCount(args) > 1 }
