package redlocktest

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

func runEval(s *Server, args []string) any {
	sha, err := s.load(args[1])
	if err != nil {
		return err
	}
	return runLoaded(s, sha, args[2:])
}

func runEvalSHA(s *Server, args []string) any {
	return runLoaded(s, strings.ToLower(args[1]), args[2:])
}

// runLoaded runs a script of the cache. args are the number of keys, the keys
// and the arguments.
func runLoaded(s *Server, sha string, args []string) any {
	n, err := integer(args[0])
	switch {
	case err != nil:
		return err
	case n > int64(len(args)-1):
		return failure("ERR Number of keys can't be greater than number of args")
	case n < 0:
		return failure("ERR Number of keys can't be negative")
	}
	script, known := s.scripts[sha]
	if !known {
		return failure("NOSCRIPT No matching script. Please use EVAL.")
	}
	if s.lua == nil {
		s.lua = newInterpreter(s.dispatchInScript)
	}
	return s.lua.run(script, sha, args[1:1+n], args[1+n:])
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
