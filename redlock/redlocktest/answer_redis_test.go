//go:build unix

package redlocktest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/redlocktest"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// spoilers put a real server into a state in which it answers with the code.
var spoilers = map[string]func(t *testing.T) *redisserver.Server{
	"BUSY": func(t *testing.T) *redisserver.Server {
		s := redisserver.Start(t, "--busy-reply-threshold", "1")
		go s.Do("EVAL", "while true do end", "0")
		return s
	},
	"CLUSTERDOWN": func(t *testing.T) *redisserver.Server {
		s := redisserver.StartCluster(t)
		configure(t, s, "CLUSTER", "DELSLOTS", "0")
		return s
	},
	"LOADING": func(t *testing.T) *redisserver.Server {
		s := redisserver.Start(t, "--enable-debug-command", "yes", "--key-load-delay", "50000", "--loading-process-events-interval-bytes", "1024")
		for i := range 300 { // it answers once a key
			configure(t, s, "SET", fmt.Sprint("key", i), strings.Repeat("0123456789abcdef", 1<<7))
		}
		configure(t, s, "CONFIG", "SET", "rdbcompression", "no")
		go s.Do("DEBUG", "RELOAD")
		return s
	},
	"MASTERDOWN": func(t *testing.T) *redisserver.Server {
		s := redisserver.Start(t, "--replica-serve-stale-data", "no", "--replica-read-only", "no")
		configure(t, s, "REPLICAOF", "127.0.0.1", "1")
		return s
	},
	"MISCONF": func(t *testing.T) *redisserver.Server {
		s := redisserver.Start(t)
		dir, err := s.Do("CONFIG", "GET", "dir")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir.([]any)[1].(string), "dump.rdb"), 0o700); err != nil {
			t.Fatal(err)
		}
		configure(t, s, "CONFIG", "SET", "save", "3600 1")
		configure(t, s, "BGSAVE")
		return s
	},
	"NOREPLICAS": func(t *testing.T) *redisserver.Server {
		return redisserver.Start(t, "--min-replicas-to-write", "1")
	},
	"OOM": func(t *testing.T) *redisserver.Server {
		return redisserver.Start(t, "--maxmemory", "1")
	},
	"READONLY": func(t *testing.T) *redisserver.Server {
		s := redisserver.Start(t)
		configure(t, s, "REPLICAOF", "127.0.0.1", "1")
		return s
	},
}

func configure(t *testing.T, s *redisserver.Server, command ...string) {
	t.Helper()
	if _, err := s.Do(command...); err != nil {
		t.Fatal(command, err)
	}
}

// answered lists commands whose replies differ by state.
var answered = [][]string{
	{"SET", "{a}", "v"}, {"GET", "{a}"}, {"DEL", "{a}", "{a}b"}, {"EXISTS", "{a}"}, {"INCR", "{a}n"}, {"PEXPIRE", "{a}", "100000"}, {"PTTL", "{a}"},
	{"HSET", "{a}h", "f", "v"}, {"HGET", "{a}h", "f"}, {"HDEL", "{a}h", "f"},
	{"ZADD", "{a}z", "XX", "1", "m"}, {"ZADD", "{a}z", "1", "m"}, {"ZREM", "{a}z", "m"}, {"ZPOPMIN", "{a}z"}, {"ZCARD", "{a}z"},
	{"PING"}, {"TIME"}, {"PUBLISH", "c", "m"}, {"CONFIG", "GET", "appendonly"}, {"SCRIPT", "EXISTS", "x"},
	{"GET"}, {"NOSUCH"},
	{"EVAL", "return 1", "0"},
	{"EVAL", "return redis.call('GET', KEYS[1])", "1", "{a}"},
	{"EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", "{a}"},
	{"EVAL", "return redis.call('DEL', KEYS[1])", "1", "{a}"},
	{"EVAL", "redis.call('DEL', KEYS[1]) return redis.call('SET', KEYS[1], 'v')", "1", "{a}"},
	{"EVAL", "return redis.pcall('SET', KEYS[1], 'v')", "1", "{a}"},
	{"EVAL", "return redis.call('PING')", "0"},
}

func TestServer_Answer_likeRedis(t *testing.T) {
	redis70(t)
	for code, spoil := range spoilers {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			server := spoil(t)
			real := connect(t, server.Addr())
			awaitCode(t, real, code)
			memory := redlocktest.NewServer()
			memory.Answer(code)
			link := memory.Node("link")
			for _, command := range answered {
				want, wantErr := real(command)
				got, _ := ask(link, command...)
				if command[0] == "TIME" {
					want, got.Value = nil, nil
				}
				if !alike(want, got.Value) || !sameError(wantErr, got.Err) {
					t.Errorf("%q\n got %v, error %v\nwant %v, error %v", command, got.Value, got.Err, want, wantErr)
				}
			}
		})
	}
}

// awaitCode waits until the server answers a write, or a read, with the code.
func awaitCode(t *testing.T, server peer, code string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, command := range [][]string{{"GET", "probe"}, {"SET", "probe", "v"}} { // no key that is compared: it stays
			if _, err := server(command); err != nil && strings.HasPrefix(err.Error(), code+" ") {
				return
			}
		}
	}
	t.Fatalf("the server never answered %s", code)
}
