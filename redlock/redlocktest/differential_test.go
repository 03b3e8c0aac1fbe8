//go:build unix

package redlocktest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/redlocktest"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// peer is what the in-memory server is compared with.
type peer func(command []string) (any, error)

func connect(t *testing.T, addr string) peer {
	client := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { client.Close() })
	return func(command []string) (any, error) {
		args := make([]any, len(command))
		for i, arg := range command {
			args[i] = arg
		}
		value, err := client.Do(context.Background(), args...).Result()
		if errors.Is(err, redis.Nil) {
			return nil, nil
		}
		return value, err
	}
}

func inMemory(server *redlocktest.Server) peer {
	return func(command []string) (any, error) {
		reply := server.Do(command...)
		return reply.Value, reply.Err
	}
}

// redis70 starts a Redis 7.0 to compare with. Other versions word errors and format fractions differently.
func redis70(t *testing.T) *redisserver.Server {
	server := redisserver.Start(t)
	if info, err := server.Do("INFO", "server"); err != nil || !strings.Contains(info.(string), "redis_version:7.0.") {
		t.Skipf("the in-memory server answers like Redis 7.0, and this one is another: %.100q, %v", info, err)
	}
	return server
}

func TestServer_answers_like_Redis(t *testing.T) {
	c := comparison{connect(t, redis70(t).Addr()), make(map[string]bool)}
	for i, command := range fixedCommands() {
		t.Run(fmt.Sprintf("%d %.60s", i, strings.Join(command, " ")), func(t *testing.T) {
			c.run(t, [][]string{{"FLUSHALL"}, command})
		})
	}
	for seed := range uint64(40) {
		t.Run(fmt.Sprintf("scripts %d", seed), func(t *testing.T) {
			g := &generator{rand.New(rand.NewPCG(seed, 1))}
			c.run(t, g.sequence(80, g.anything))
		})
		t.Run(fmt.Sprintf("commands %d", seed), func(t *testing.T) {
			g := &generator{rand.New(rand.NewPCG(seed, 2))}
			c.run(t, g.sequence(80, g.oddity))
		})
	}
	for _, verdict := range []string{"GRANTED", "DONE", "SEEN", "TAKEN", "STALE", "AHEAD", "LOST", "DEAD", "YOUNG"} {
		if !c.verdicts[verdict] {
			t.Errorf("no script ever answered %s: the sequences are too tame", verdict)
		}
	}
}

// miniredis supports fewer errors and options, so only successful replies are compared.
func TestServer_answers_like_miniredis(t *testing.T) {
	c := comparison{connect(t, miniredis.RunT(t).Addr()), make(map[string]bool)}
	for seed := range uint64(100) {
		t.Run(fmt.Sprintf("commands %d", seed), func(t *testing.T) {
			g := &generator{rand.New(rand.NewPCG(seed, 3))}
			c.run(t, g.sequence(60, g.simple))
		})
	}
}

// comparison compares the in-memory server with another one.
type comparison struct {
	want     peer
	verdicts map[string]bool
}

// run runs commands on both servers and finds the first difference.
func (c comparison) run(t *testing.T, commands [][]string) {
	t.Helper()
	memory := inMemory(redlocktest.NewServer())
	for i, command := range commands {
		want, wantErr := settled(command, c.want)
		got, gotErr := settled(command, memory)
		alike := alike
		if slices.Contains(command, scriptText("bootstrap")) && wantErr == nil {
			alike = alikeAges
		}
		if !alike(want, got) || !sameError(wantErr, gotErr) {
			t.Fatalf("%s\n got %q, error %v\nwant %q, error %v\nafter%s",
				brief(command), got, gotErr, want, wantErr, brief(commands[max(0, i-12):i]...))
		}
		if list, ok := want.([]any); ok && len(list) > 0 {
			c.verdicts[fmt.Sprint(list[0])] = true
		}
		if slices.Contains(command, soon) {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// soon is a TTL in ms after which run waits, so that the key has expired on both servers
// before the next command. No other argument has this value.
const soon = "6"

// settled returns a reply without the parts that may differ.
func settled(command []string, run peer) (any, error) {
	value, err := run(command)
	value = withoutIDs(value)
	if slices.Contains(unordered, strings.ToUpper(command[0])) {
		sorted(value)
	}
	return value, err
}

// brief names the real scripts by their files.
func brief(commands ...[]string) string {
	var out strings.Builder
	for _, command := range commands {
		fmt.Fprintf(&out, "\n  ")
		for _, word := range command {
			for name := range scriptArgs {
				if word == scriptText(name) {
					word = name + ".lua"
				}
			}
			fmt.Fprintf(&out, " %q", word)
		}
	}
	return out.String()
}

// unordered lists commands whose replies have no order in Redis, or none for a hash with
// long values.
var unordered = []string{"SCAN", "HKEYS", "HGETALL"}

func sorted(value any) {
	list, _ := value.([]any)
	if len(list) == 2 {
		if inner, ok := list[1].([]any); ok {
			list = inner
		}
	}
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

// alike reports equality, with a tolerance for instants and remaining times, because the
// servers do not get a command in the same millisecond.
func alike(want, got any) bool {
	switch want := want.(type) {
	case []any:
		got, ok := got.([]any)
		return ok && slices.EqualFunc(want, got, alike)
	case int64:
		got, ok := got.(int64)
		return ok && (want == got || want > 5_000 && max(want-got, got-want) < 4_000)
	case string:
		got, ok := got.(string)
		return ok && (want == got || bothInstants(want, got))
	}
	return want == got
}

// alikeAges is alike for the reply of bootstrap.lua, which has a short time in it.
func alikeAges(want, got any) bool {
	a, okA := want.([]any)
	b, okB := got.([]any)
	if !okA || !okB || len(a) != 3 || len(b) != 3 || a[0] != b[0] || !alike(a[2], b[2]) {
		return false
	}
	x, y := a[1].(int64), b[1].(int64)
	return x == y || x >= 0 && y >= 0 && max(x-y, y-x) < 4_000
}

// serverIDs is what the restart guard remembers of a server.
var serverIDs = regexp.MustCompile("^[0-9a-f]{40}/[0-9a-f]{40}/$")

func withoutIDs(value any) any {
	switch value := value.(type) {
	case string:
		return serverIDs.ReplaceAllString(value, "run/replication")
	case []any:
		for i := range value {
			value[i] = withoutIDs(value[i])
		}
	}
	return value
}

func bothInstants(a, b string) bool {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	if errX != nil || errY != nil || len(a) != len(b) || len(a) < 13 {
		return false
	}
	limit := int64(4_000)
	if len(a) == 16 {
		limit *= 1_000
	}
	return max(x-y, y-x) < limit
}

// sameError compares the texts, or only the lines for errors of Lua itself.
func sameError(want, got error) bool {
	if want == nil || got == nil {
		return want == got
	}
	for _, lua := range []string{": attempt to ", "user_script:1: '"} {
		if before, _, found := strings.Cut(want.Error(), lua); found {
			return strings.HasPrefix(got.Error(), before)
		}
	}
	return want.Error() == got.Error()
}

// generator generates commands, often on keys of the wrong type.
type generator struct{ *rand.Rand }

func (g *generator) sequence(n int, next func() []string) [][]string {
	commands := [][]string{{"FLUSHALL"}}
	for range n {
		commands = append(commands, next())
	}
	for _, key := range keyNames {
		commands = append(commands, []string{"PTTL", key}, []string{"GET", key},
			[]string{"HGETALL", key}, []string{"ZRANGE", key, "0", "-1", "WITHSCORES"})
	}
	return append(commands, []string{"SCAN", "0", "COUNT", "1000"})
}

const (
	lock      = "{a}lock"
	tick      = "b"
	last      = "c"
	tombstone = "d"
	fence     = "e"
	guard     = "[f]"
	waiters   = "g"

	marked = "last or tick"
)

var keyNames = []string{lock, tick, last, tombstone, "h", "i", fence, guard, waiters}

func (g *generator) pick(words ...string) string { return words[g.IntN(len(words))] }
func (g *generator) key() string                 { return g.pick(keyNames...) }
func (g *generator) token() string               { return g.pick("t1", "t2", "t3") }
func (g *generator) ttl() string                 { return []string{"60000", "90000", soon}[g.IntN(21)/10] }
func (g *generator) field() string {
	return g.pick("owner", "granted", "token:t1", "token:t2", "id", "birth", "")
}
func (g *generator) value() string {
	return g.pick("t1", "t2", "17", "", "9007199254740992", "-1", "9223372036854775807", "text\r\n\x00\xff")
}
func (g *generator) badNumber() string {
	return g.pick("x", "1.0", "+1", " 1", "-0", "01", "", "0", "-1", "99999999999999999999", "1e3", "9223372036854775807")
}
func (g *generator) score() string {
	return g.pick("1", "2", "1.5", "-0.1", "1e20", "inf", "-inf", "x", "")
}

func (g *generator) anything() []string {
	switch n := g.IntN(20); {
	case n < 15:
		return g.script()
	case n < 19:
		return []string{"DEL", g.key(), g.key()}
	}
	return g.simple()
}

// oddity returns any command, rarely a script.
func (g *generator) oddity() []string {
	if g.IntN(3) == 0 {
		return g.odd()
	}
	return g.anything()
}

// simple returns a command that is mostly valid.
func (g *generator) simple() []string {
	templates := []func() []string{
		func() []string { return []string{"SET", g.key(), g.value()} },
		func() []string { return []string{"SET", g.key(), g.token(), "NX", "PX", g.pick("60000", "90000")} },
		func() []string { return []string{"GET", g.key()} },
		func() []string { return []string{"DEL", g.key(), g.key()} },
		func() []string { return []string{"EXISTS", g.key(), g.key()} },
		func() []string { return []string{"PEXPIRE", g.key(), g.pick("60000", "90000", "0", "-5")} },
		func() []string { return []string{"PTTL", g.key()} },
		func() []string { return []string{"HSET", g.key(), g.field(), g.value(), g.field(), g.value()} },
		func() []string { return []string{"HGET", g.key(), g.field()} },
		func() []string { return []string{"HMGET", g.key(), g.field(), g.field()} },
		func() []string { return []string{"MGET", g.key(), g.key()} },
		func() []string { return []string{"HDEL", g.key(), g.field(), g.field()} },
		func() []string { return []string{"HEXISTS", g.key(), g.field()} },
		func() []string { return []string{"ZADD", g.key(), g.pick("1", "2", "1.5", "-3"), g.value()} },
		func() []string { return []string{"ZADD", g.key(), "NX", g.pick("1", "2", "7"), g.value()} },
		func() []string { return []string{"ZPOPMIN", g.key()} },
		func() []string { return []string{"ZREM", g.key(), g.value(), g.value()} },
		func() []string { return []string{"ZCARD", g.key()} },
		func() []string {
			return []string{"ZREMRANGEBYRANK", g.key(), g.pick("0", "1", "-2"), g.pick("0", "-1", "-3", "9")}
		},
		func() []string { return []string{"ZRANGE", g.key(), g.pick("0", "1", "-2"), g.pick("0", "2", "-1")} },
		func() []string { return []string{"PUBLISH", g.key(), g.value()} },
		func() []string { return []string{"PING"} },
	}
	return templates[g.IntN(len(templates))]()
}

// odd returns a command that Redis refuses, or one with a rare option.
func (g *generator) odd() []string {
	templates := []func() []string{
		func() []string { return []string{"SET", g.key(), g.value(), "PX", g.badNumber()} },
		func() []string { return []string{"SET", g.key(), g.value(), "PX", soon} },
		func() []string { return []string{"set", g.key(), g.value(), g.option(), g.option(), g.option()} },
		func() []string { return []string{"SET", g.key(), g.value(), g.option(), g.option(), "90000"} },
		func() []string { return []string{"incr", g.key()} },
		func() []string { return []string{"PEXPIRE", g.key(), g.badNumber()} },
		func() []string { return []string{"ZADD", g.key(), g.score(), g.value()} },
		func() []string { return []string{"ZADD", g.key(), g.pick("NX", "nx", "1"), g.score()} },
		func() []string { return []string{"ZRANGE", g.key(), g.badNumber(), g.badNumber()} },
		func() []string { return []string{"ZRANGE", g.key(), "-100", "100", g.pick("WITHSCORES", "withscores")} },
		func() []string { return []string{"HKEYS", g.key()} },
		func() []string { return []string{"HSET", g.key(), g.field(), g.value(), g.field()} },
		func() []string { return []string{"SCAN", "0", "MATCH", g.glob(), "COUNT", "1000"} },
		func() []string {
			return []string{"SCAN", g.pick("x", "0"), g.pick("COUNT", "MATCH"), g.badNumber()}
		},
		func() []string {
			return []string{g.pick("GET", "SET", "DEL", "HGET", "ZADD", "TIME", "PING", "PUBLISH", "SCRIPT", "EVAL", "nosuch"), "x", "y", "z"}
		},
		func() []string {
			return []string{g.pick("GET", "SET", "DEL", "HGET", "ZADD", "PUBLISH", "NoSuch", "EVALSHA", "INCR")}
		},
		func() []string { return []string{g.pick("EVAL", "EVALSHA"), "return 1", g.badNumber(), "k"} },
	}
	return templates[g.IntN(len(templates))]()
}

func (g *generator) option() string {
	return g.pick("NX", "XX", "GET", "PX", "nx", "get", "bad")
}

func (g *generator) glob() string {
	return g.pick("*", "?", "[a-c]", "[^a]", "{a}*", "\\a", "*a*", "**", "", "[\\a]", "a*", "\\[f\\]")
}

// script runs one of the real scripts. Each file has to be here.
func (g *generator) script() []string {
	names := make([]string, 0, len(scriptArgs))
	for name := range scriptArgs {
		names = append(names, name)
	}
	slices.Sort(names)
	names = append(names, "claim", "claim", "claim", "acquire", "acquire")
	name := g.pick(names...)
	keys := slices.Clone(scriptArgs[name].keys)
	if i := slices.Index(keys, tombstone); i >= 0 {
		keys[i] = g.pick(tombstone, "h", "i")
	}
	if g.IntN(20) == 0 {
		keys[g.IntN(len(keys))] = g.key()
	}
	args := scriptArgs[name].args(g)
	if i := slices.Index(keys, marked); i >= 0 {
		keys[i] = last
		if !slices.Contains(args, "") {
			keys[i] = tick
		}
	}
	command := append([]string{"EVAL", scriptText(name), strconv.Itoa(len(keys))}, keys...)
	return append(command, args...)
}

func (g *generator) window() string { return g.pick("0", "0", "0", "7200000") }
func (g *generator) tick() string {
	from := g.pick("0", "0", "0", "-10000", "30000", "120000", "-3600000", "900000")
	offset, _ := strconv.ParseInt(from, 10, 64)
	return strconv.FormatInt(time.Now().Truncate(time.Minute).UnixMilli()+offset, 10)
}

// scriptArgs lists the keys of every script, by purpose, and its arguments.
var scriptArgs = map[string]struct {
	keys []string
	args func(g *generator) []string
}{
	"abort": {[]string{lock, tombstone, tick}, func(g *generator) []string {
		return []string{g.token(), g.ttl()}
	}},
	"acquire": {[]string{lock, tombstone, fence, guard}, func(g *generator) []string {
		return []string{g.token(), g.ttl(), g.pick("0", "1"), g.window()}
	}},
	"bootstrap": {[]string{guard}, func(*generator) []string { return nil }},
	"lock":      {[]string{lock}, func(g *generator) []string { return []string{g.token(), "NX", "GET", "PX", g.ttl()} }},
	"look":      {[]string{lock}, func(*generator) []string { return nil }},
	"swap": {[]string{lock, tombstone, tombstone, fence, guard}, func(g *generator) []string {
		return []string{g.token(), g.token(), g.ttl(), "86400000", g.pick("0", "1"), g.window(), g.pick("0", "1")}
	}},
	"claim": {[]string{lock, tick, last, tombstone, fence, guard}, func(g *generator) []string {
		args := []string{g.token(), g.ttl(), g.tick(), g.pick("o1", "o2"), g.pick("900000", "80000"), "600000",
			g.pick("1", "200000"), g.pick("tick", "any", "takeover")}
		if g.pick("0", "0", "0", "1") == "1" {
			args[1] = "" // a dry run
		}
		return append(args, g.window(), g.pick("0", "1"))
	}},
	"confirm": {[]string{marked}, func(g *generator) []string {
		return []string{g.token(), g.tick(), g.pick("", "o1", "o2"), "604800000"}
	}},
	"enqueue": {[]string{lock, waiters}, func(g *generator) []string { return []string{g.token(), g.ttl()} }},
	"extend": {[]string{lock, tombstone, guard}, func(g *generator) []string {
		return []string{g.token(), g.ttl(), g.window()}
	}},
	"finish": {[]string{lock, waiters, marked}, func(g *generator) []string {
		return []string{g.token(), g.tick(), g.pick("", "o1", "o2"), "604800000", "name"}
	}},
	"stand": {[]string{lock, fence}, func(g *generator) []string {
		return []string{g.token(), g.pick("17", "2785387987296440")}
	}},
	"release": {[]string{lock, waiters}, func(g *generator) []string {
		return []string{g.token()}
	}},
}

func TestServer_is_compared_on_every_script(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "internal", "protocol", "lua", "*.lua"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".lua")
		if _, known := scriptArgs[name]; !known && prefixes[name] == "" {
			t.Errorf("%s is not compared with Redis: add it to scriptArgs", file)
		}
	}
}

// fixedCommands lists commands whose replies do not depend on earlier ones.
func fixedCommands() [][]string {
	commands := [][]string{
		{"EVAL", "return {KEYS[1], ARGV[1], #KEYS, #ARGV}", "1", "k", "a", "b"},
		{"EVAL", "return 1", "2", "k"},
		{"EVAL", "return 1", "-1", "k"},
		{"EVALSHA", "0000000000000000000000000000000000000000", "0"},
		{"EVALSHA", "short", "0"},
		{"SCRIPT", "LOAD", "return 1"},
		{"SCRIPT", "FLUSH"},
		{"SCRIPT", "EXISTS", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"},
		{"CONFIG", "GET", "maxmemory-policy"},
		{"CONFIG", "GET", "nothing"},
	}
	for _, script := range fixedScripts {
		commands = append(commands, []string{"EVAL", script, "1", "key", "argument"})
	}
	return commands
}

var fixedScripts = []string{
	// What a script returns.
	"return 3", "return 3.99", "return -3.99", "return 1e15", "return 9007199254740993", "return 1e30", "return 0/0",
	"return 'text'", "return true", "return false", "return nil", "return", "return {}", "return {1, 2.9, 'x', false, true}",
	"return {1, nil, 3}", "return {{1, {2}}, {}}", "return {a = 1}", "return {1, a = 2}", "return {ok = 'FINE'}",
	"return {err = 'MY error'}", "return {err = 'ERR'}", "return {false, {ok = 'FINE'}}", "return {ok = 5}",
	"return redis.status_reply('FINE')", "return redis.error_reply('MY error')", "return redis.error_reply('WORD')",
	"return redis.error_reply('-MY error')", "return redis.error_reply('-WORD')",
	// What redis.call returns.
	"return redis.call('SET', KEYS[1], 'x')", "return redis.call('SET', KEYS[1], 'x').ok", "return type(redis.call('GET', KEYS[1]))",
	"return redis.call('GET', KEYS[1]) == false", "return redis.call('HMGET', KEYS[1], 'a', 'b')", "return redis.call('MGET', KEYS[1], 'b')",
	"return #redis.call('HMGET', KEYS[1], 'a', 'b')",
	"return redis.call('PING')", "return redis.call('EXISTS', KEYS[1])", "return #redis.call('TIME')", "return redis.call('CONFIG', 'GET', 'x')",
	"redis.call('ZADD', KEYS[1], 1.5, 'm'); return redis.call('ZPOPMIN', KEYS[1])", "return redis.call('ZPOPMIN', KEYS[1])",
	// What it takes.
	"redis.call('SET', KEYS[1], 17); return redis.call('GET', KEYS[1])", "redis.call('SET', KEYS[1], 0.1); return redis.call('GET', KEYS[1])",
	"redis.call('SET', KEYS[1], 1e15); return redis.call('GET', KEYS[1])", "redis.call('SET', KEYS[1], 1e17); return redis.call('GET', KEYS[1])",
	"redis.call('SET', KEYS[1], -1/3); return redis.call('GET', KEYS[1])", "redis.call('SET', KEYS[1], 1/0); return redis.call('GET', KEYS[1])",
	"redis.call('SET', KEYS[1], 123456789012345678); return redis.call('GET', KEYS[1])", "redis.call('SET', KEYS[1], 1e-7); return redis.call('GET', KEYS[1])",
	"return redis.call('SET', KEYS[1], true)", "return redis.call('SET', KEYS[1], nil)", "return redis.call('SET', KEYS[1], {})",
	"return redis.call()", "return redis.pcall()", "return redis.call('GET')", "return redis.call('NOSUCH', 1)", "return redis.call('EVAL', 'return 1', 0)",
	"return redis.call('SCRIPT', 'FLUSH')", "return redis.call('get', KEYS[1])", "return redis.call(1)",
	// Errors.
	"return redis.call('INCR', redis.call('SET', KEYS[1], 'x') and KEYS[1])", "redis.call('SET', KEYS[1], 'x')\n\nreturn redis.call('HGET', KEYS[1], 'f')",
	"redis.call('SET', KEYS[1], 'x')\nreturn redis.pcall('HGET', KEYS[1], 'f')", "redis.call('SET', KEYS[1], 'x')\nreturn redis.pcall('HGET', KEYS[1], 'f').err",
	"redis.call('SET', KEYS[1], 'x')\nlocal function f()\n return (redis.call('HGET', KEYS[1], 'f'))\nend\nreturn (f())",
	"error('oh')", "error('oh', 0)", "\nerror({err = 'MY error'})", "error({err = 'MY'})", "return pcall(error, 'oh')", "local a = nil\nreturn a.b",
	"return 1 + nil", "return 'a' < 1", "return nothing", "something = 1", "local x = {}\nx.y.z = 1",
	"return print", "return dofile", "return require", "return loadfile", "return module",
	// What scripts may rely on.
	"return tostring(1700000000000000)", "return tostring(17)", "return tostring(0.1)", "return tostring(nil)", "return tostring(true)",
	"return string.format('%.0f', 1700000000000001)", "return string.format('%.0f', 2.5)", "return string.format('%d', 17)", "return string.format('%s|%s', 'a', 17)",
	"return 'a' .. 17", "return 'a' .. 0.5", "return tonumber('17') + 1", "return tonumber('x') == nil", "return '10' + 5", "return '1700000000' * 1000000 + '999999'",
	"return math.floor(-1.5)", "return math.max(1, 7, 3)", "return math.floor('999' / 1000)", "return string.sub('token:abc', 1, 6)", "return string.sub('token:abc', 7)",
	"return {string.match('a:1\\r\\nrun_id:abc9\\r\\n', 'run_id:(%w+)')}", "return string.match('x', 'y') == nil", "return {unpack({1, 2, 3})}", "return #ARGV[1]",
	"local t = {}\nfor i, v in ipairs({5, 6, nil, 7}) do t[i] = v end\nreturn t", "return select('#', 1, nil)", "local t = {3, 1, 2}\ntable.sort(t)\nreturn t",
	"return table.concat({1, 'a', 2}, '/')", "return 1 and 0 or 2", "return '10' == 10", "return 7 % 3", "return -7 % 3", "return tonumber('')==nil", "return tonumber(' 5 ')",
}
