package redlocktest

import (
	"strings"
	"testing"

	"github.com/redtick/redtick/redlock/driver"
)

func checkReplies(_ *testing.T, node subject) {
	node.want("OK", "SET", "text", "value")
	node.want("value", "GET", "text")
	node.want("17", "EVAL", "return '17'", "0")
	node.want(int64(1), "INCR", "number")
	node.want("1", "GET", "number")
	node.want(int64(-2), "PTTL", "missing")
	node.want(int64(9007199254740991), "EVAL", "return 9007199254740991", "0")
	node.want(int64(1), "EVAL", "return true", "0")
	node.want("", "EVAL", "return ''", "0")
	node.want("FINE", "EVAL", "return redis.status_reply('FINE')", "0")
	node.want([]any{}, "EVAL", "return {}", "0")
	node.want([]any{"GRANTED", int64(3), []any{"a", []any{}}}, "EVAL", "return { 'GRANTED', 3, { 'a', {} } }", "0")
	node.want([]any{"OK", "x"}, "EVAL", "return { redis.call('SET', KEYS[1], 'x'), redis.call('GET', KEYS[1]) }", "1", "text")
}

func checkNulls(t *testing.T, node subject) {
	node.want("OK", "SET", "taken", "by another")
	for _, elements := range [][]string{
		{"GET", "missing"},
		{"SET", "taken", "by me", "NX", "PX", "1000"},
		{"EVAL", "return false", "0"},
		{"EVAL", "return nil", "0"},
	} {
		if reply := node.one(elements...); reply.Err != nil || reply.Value != nil {
			t.Errorf("%s: value %s, error %v, want neither; a null is not an error: "+
				"translate the client's nil error (redis.Nil, redigo.ErrNil, …) into a nil Value",
				short(elements), typed(reply.Value), reply.Err)
		}
	}
	node.want([]any{"a", nil, "b"}, "EVAL", "return { 'a', false, 'b' }", "0")
	node.want([]any{nil, nil}, "HMGET", "missing", "x", "y")
}

// checkTypes sends commands whose replies have special types in RESP3.
func checkTypes(t *testing.T, node subject) {
	node.one("HSET", "hash", "field", "value")
	node.one("ZADD", "set", "1.5", "member")
	for _, elements := range [][]string{
		{"HGETALL", "hash"},
		{"ZRANGE", "set", "0", "-1", "WITHSCORES"},
		{"CONFIG", "GET", "maxmemory-policy"},
	} {
		reply := node.one(elements...)
		if reply.Err != nil {
			t.Errorf("%s: %v", short(elements), reply.Err)
		} else if !contractual(reply.Value) {
			t.Errorf("%s: value %s; allowed are nil, int64, string and []any of these: "+
				"flatten RESP3 maps into key, value, …, print doubles, or speak RESP2", short(elements), typed(reply.Value))
		}
	}
	node.want([]any{"field", "value"}, "HGETALL", "hash")
}

// checkProtocols makes a script return types that only RESP3 has. They must arrive
// as in RESP2, whichever protocol the client uses.
func checkProtocols(t *testing.T, node subject) {
	const script = "redis.setresp(3) return "
	if reply := node.one("EVAL", script+"1", "0"); reply.Err != nil {
		t.Skip("the server's scripts cannot answer in RESP3")
	}
	for returned, want := range map[string]any{
		"{map={k={double=0.5}}}":              []any{"k", "0.5"},
		"{double=0.5}":                        "0.5",
		"true":                                int64(1),
		"false":                               int64(0),
		"nil":                                 nil,
		"{big_number='12345678901234567890'}": "12345678901234567890",
	} {
		node.want(want, "EVAL", script+returned, "0")
	}
}

func contractual(value any) bool {
	switch value := value.(type) {
	case nil, int64, string:
		return true
	case []any:
		for _, element := range value {
			if !contractual(element) {
				return false
			}
		}
		return true
	}
	return false
}

func checkErrorTexts(_ *testing.T, node subject) {
	node.one("HSET", "hash", "field", "value")
	node.refused("WRONGTYPE Operation against a key holding the wrong kind of value", "GET", "hash")
	node.refused("ERR value is not an integer or out of range", "SET", "key", "value", "PX", "soon")
	node.refused("NOSCRIPT ", "EVALSHA", strings.Repeat("0", 40), "0")
	node.refused("MISCONF as it is", "EVAL", "return redis.error_reply('MISCONF as it is')", "0")
	node.refused("WRONGTYPE ", "EVAL", "return redis.call('GET', KEYS[1])", "1", "hash")
}

// refused sends a command that the server refuses.
func (s subject) refused(prefix string, elements ...string) {
	s.t.Helper()
	s.checkRefused(s.one(elements...), prefix, elements)
}

func (s subject) checkRefused(reply driver.Reply, prefix string, elements []string) {
	s.t.Helper()
	if reply.Err == nil {
		s.t.Errorf("%s: value %s and no error; return a server's error reply as Err",
			short(elements), typed(reply.Value))
		return
	}
	if !strings.HasPrefix(reply.Err.Error(), prefix) {
		s.t.Errorf("%s: error %q, want one that starts with %q; the core reads the code, so add nothing before the server's text",
			short(elements), reply.Err, prefix)
	}
	if reply.Value != nil {
		s.t.Errorf("%s: value %s and error %v; leave Value nil when Err is set", short(elements), typed(reply.Value), reply.Err)
	}
}

func checkMixed(_ *testing.T, node subject) {
	commands := [][]string{
		{"SET", "text", "a"},
		{"HGET", "text", "field"},
		{"GET", "missing"},
		{"NOSUCHCOMMAND"},
		{"GET", "text"},
		{"EVALSHA", strings.Repeat("0", 40), "0"},
		{"INCR", "number"},
	}
	replies := node.lines(commands)
	node.check(replies[0], "OK", commands[0])
	node.checkRefused(replies[1], "WRONGTYPE ", commands[1])
	node.check(replies[2], nil, commands[2])
	node.checkRefused(replies[3], "ERR unknown command", commands[3])
	node.check(replies[4], "a", commands[4])
	node.checkRefused(replies[5], "NOSCRIPT ", commands[5])
	node.check(replies[6], int64(1), commands[6])
}

func (s subject) lines(commands [][]string) []driver.Reply {
	s.t.Helper()
	batch := make([]driver.Command, len(commands))
	for i, elements := range commands {
		batch[i] = line(elements...)
	}
	return s.batch(batch...)
}

func checkScriptByHash(t *testing.T, node subject) {
	const script = "return { KEYS[1], ARGV[1], #ARGV }"
	sha, ok := node.one("SCRIPT", "LOAD", script).Value.(string)
	if !ok {
		t.Fatal("SCRIPT LOAD: the reply is not a string")
	}
	answer := []any{"key", "argument", int64(1)}
	node.want(answer, "EVALSHA", sha, "1", "key", "argument")
	node.want("OK", "SCRIPT", "FLUSH")
	// A driver that handled NOSCRIPT itself would send a batch's commands out of order.
	node.refused("NOSCRIPT ", "EVALSHA", sha, "1", "key", "argument")
	node.want(answer, "EVAL", script, "1", "key", "argument")
	node.want(answer, "EVALSHA", sha, "1", "key", "argument")
}

func checkBinary(_ *testing.T, node subject) {
	var all strings.Builder
	for b := range 256 {
		all.WriteByte(byte(b))
	}
	for _, text := range []string{all.String(), "\r\n", "$-1\r\n", "\x00", "ключ {a}", "\xff\xfe"} {
		node.want("OK", "SET", text, text)
		node.want(text, "GET", text)
		node.want([]any{text, text}, "EVAL", "return { KEYS[1], ARGV[1] }", "1", text, text)
	}
	node.want("OK", "SET", "empty", "")
	node.want("", "GET", "empty")
}
