package memredis

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const errNoScript = failure("NOSCRIPT No matching script. Please use EVAL.")

func runEval(s *Server, args []string) any {
	keys := numberOfKeys(args)
	return s.runScript(s.load(args[1]), args[3:3+keys], args[3+keys:])
}

func runEvalSHA(s *Server, args []string) any {
	sha := strings.ToLower(args[1])
	if len(sha) != 2*sha1.Size {
		return errNoScript
	}
	keys := numberOfKeys(args)
	if _, known := s.scripts[sha]; !known {
		return errNoScript
	}
	return s.runScript(sha, args[3:3+keys], args[3+keys:])
}

func numberOfKeys(args []string) int64 {
	n := integer(args[2])
	switch {
	case n > int64(len(args)-3):
		panic(failure("ERR Number of keys can't be greater than number of args"))
	case n < 0:
		panic(failure("ERR Number of keys can't be negative"))
	}
	return n
}

func (s *Server) runScript(sha string, keys, args []string) any {
	if s.lua == nil {
		s.lua = newInterpreter(s.dispatchInScript)
	}
	s.dirty = false
	reply := s.lua.run(s.scripts[sha], keys, args)
	if err, failed := reply.(scriptError); failed {
		return err.reply(sha, s.version)
	}
	return reply
}

func (s *Server) load(text string) (sha string) {
	sum := sha1.Sum([]byte(text))
	sha = hex.EncodeToString(sum[:])
	if _, known := s.scripts[sha]; !known {
		script, err := compile(text)
		if err != nil {
			panic(failure("ERR Error compiling script (new function): " + err.Error()))
		}
		s.scripts[sha] = script
	}
	return sha
}

// runScript supports LOAD, EXISTS for one script, and FLUSH.
func runScript(s *Server, args []string) any {
	switch sub := strings.ToUpper(args[1]); {
	case sub == "LOAD" && len(args) == 3:
		return s.load(args[2])
	case sub == "EXISTS" && len(args) == 3:
		_, found := s.scripts[strings.ToLower(args[2])]
		return []any{flag(found)}
	case sub == "FLUSH" && len(args) == 2:
		clear(s.scripts)
		return status("OK")
	}
	return unknownSubcommand(args)
}

func unknownSubcommand(args []string) failure {
	return failure(fmt.Sprintf("ERR unknown subcommand '%.128s'. Try %s HELP.", args[1], strings.ToUpper(args[0])))
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

func runFlushAll(s *Server, _ []string) any {
	clear(s.data.entries)
	return status("OK")
}

// runInfo supports no section or one.
func runInfo(s *Server, args []string) any {
	aof := flag(s.config["appendonly"] == "yes")
	var found []string
	for _, section := range []struct{ name, lines string }{
		{"Server", fmt.Sprintf("redis_version:%s\r\nredis_mode:standalone\r\nrun_id:%s\r\n", s.fullVersion, s.runID)},
		{"Memory", fmt.Sprintf("maxmemory:0\r\nmaxmemory_policy:%s\r\n", s.config["maxmemory-policy"])},
		{"Persistence", fmt.Sprintf("loading:0\r\naof_enabled:%d\r\n", aof)},
		{"Replication", fmt.Sprintf("role:master\r\nconnected_slaves:0\r\nmaster_replid:%s\r\n", s.replID)},
	} {
		if len(args) == 1 || strings.EqualFold(args[1], section.name) {
			found = append(found, "# "+section.name+"\r\n"+section.lines)
		}
	}
	return strings.Join(found, "\r\n")
}

// runConfig supports GET and SET of one setting.
func runConfig(s *Server, args []string) any {
	name := strings.ToLower(args[2])
	value, known := s.config[name]
	switch sub := strings.ToUpper(args[1]); {
	case sub == "GET" && len(args) == 3 && known:
		return []any{name, value}
	case sub == "GET" && len(args) == 3:
		return []any{}
	case sub == "SET" && len(args) == 4 && known:
		s.config[name] = args[3]
		return status("OK")
	case sub == "SET" && len(args) == 4:
		return failure(fmt.Sprintf("ERR Unknown option or number of arguments for CONFIG SET - '%s'", args[2]))
	}
	return unknownSubcommand(args)
}
