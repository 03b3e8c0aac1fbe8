package memredis

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
)

var scriptCommands = map[string]command{
	"EVAL":    {arity: -3, topLevel: true, run: runEval},
	"EVALSHA": {arity: -3, topLevel: true, run: runEvalSHA},
	"SCRIPT":  {arity: -2, topLevel: true, run: runScript},
}

const errNoScript = failure("NOSCRIPT No matching script. Please use EVAL.")

func runEval(s *Server, args []string) any {
	keys, err := numberOfKeys(args)
	if err != nil {
		return err
	}
	sha, err := s.load(args[1])
	if err != nil {
		return err
	}
	return s.runScript(sha, args[3:3+keys], args[3+keys:])
}

func runEvalSHA(s *Server, args []string) any {
	sha := strings.ToLower(args[1])
	if len(sha) != 2*sha1.Size {
		return errNoScript
	}
	keys, err := numberOfKeys(args)
	if err != nil {
		return err
	}
	if _, known := s.scripts[sha]; !known {
		return errNoScript
	}
	return s.runScript(sha, args[3:3+keys], args[3+keys:])
}

func numberOfKeys(args []string) (int64, error) {
	n, err := integer(args[2])
	switch {
	case err != nil:
		return 0, err
	case n > int64(len(args)-3):
		return 0, failure("ERR Number of keys can't be greater than number of args")
	case n < 0:
		return 0, failure("ERR Number of keys can't be negative")
	}
	return n, nil
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

func (s *Server) load(text string) (sha string, err error) {
	sum := sha1.Sum([]byte(text))
	sha = hex.EncodeToString(sum[:])
	if _, known := s.scripts[sha]; known {
		return sha, nil
	}
	script, err := compile(text)
	if err != nil {
		return "", failure("ERR Error compiling script (new function): " + err.Error())
	}
	s.scripts[sha] = script
	return sha, nil
}

func runScript(s *Server, args []string) any {
	switch sub := strings.ToUpper(args[1]); {
	case sub == "LOAD" && len(args) == 3:
		sha, err := s.load(args[2])
		if err != nil {
			return err
		}
		return sha
	case sub == "EXISTS" && len(args) > 2:
		known := make([]any, 0, len(args)-2)
		for _, sha := range args[2:] {
			_, found := s.scripts[strings.ToLower(sha)]
			known = append(known, flag(found))
		}
		return known
	case sub == "FLUSH" && (len(args) == 2 || len(args) == 3 && isFlushMode(args[2])):
		clear(s.scripts)
		return status("OK")
	case sub == "LOAD" || sub == "EXISTS":
		return failure(fmt.Sprintf("ERR wrong number of arguments for 'script|%s' command", strings.ToLower(sub)))
	}
	return failure(fmt.Sprintf("ERR unknown subcommand '%.128s'. Try SCRIPT HELP.", args[1]))
}
