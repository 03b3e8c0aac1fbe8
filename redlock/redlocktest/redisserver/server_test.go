//go:build unix

package redisserver_test

import (
	"crypto/tls"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

func do(t *testing.T, s *redisserver.Server, args ...string) any {
	t.Helper()
	value, err := s.Do(args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return value
}

func TestServer_Do(t *testing.T) {
	s := redisserver.Start(t)
	for _, c := range []struct {
		name string
		args []string
		want any
	}{
		{"simple string", []string{"SET", "k", "a\x00\r\nb"}, "OK"},
		{"bulk string", []string{"GET", "k"}, "a\x00\r\nb"},
		{"null", []string{"GET", "none"}, nil},
		{"integer", []string{"EXISTS", "k"}, int64(1)},
		{"array", []string{"MGET", "k", "none"}, []any{"a\x00\r\nb", nil}},
		{"empty array", []string{"KEYS", "none*"}, []any{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := do(t, s, c.args...); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %#v, want %#v", got, c.want)
			}
		})
	}
	if _, err := s.Do("NOPE"); err == nil || !strings.HasPrefix(err.Error(), "ERR ") {
		t.Errorf("an unknown command: got %v, want the server's error", err)
	}
}

func TestServer_Pause(t *testing.T) {
	s := redisserver.Start(t)
	s.Pause()
	time.AfterFunc(50*time.Millisecond, s.Resume)
	start := time.Now()
	do(t, s, "PING")
	if passed := time.Since(start); passed < 40*time.Millisecond {
		t.Errorf("answered after %v, while paused", passed)
	}
}

func TestServer_Kill(t *testing.T) {
	s := redisserver.Start(t)
	s.Pause()
	s.Kill()
	s.Kill()
	if _, err := s.Do("PING"); err == nil {
		t.Error("answered after Kill")
	}
}

func TestServer_Restart(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want any
	}{
		{"forgets", nil, nil},
		{"remembers with a log", []string{"--appendonly", "yes", "--appendfsync", "always"}, "v"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := redisserver.Start(t, c.args...)
			port := s.Port()
			do(t, s, "SET", "k", "v")
			s.Restart()
			if got := do(t, s, "GET", "k"); got != c.want || s.Port() != port {
				t.Errorf("got %v on port %d, want %v on %d", got, s.Port(), c.want, port)
			}
		})
	}
}

// The server has a log that takes a moment to load. Meanwhile it answers INFO, and
// LOADING to everything else.
//
// Seen to fail when Restart returns with the first answer to INFO.
func TestServer_Restart_loading(t *testing.T) {
	s := redisserver.Start(t, "--appendonly", "yes")
	for range 30 {
		do(t, s, "EVAL", "for i = 1, 10000 do redis.call('INCR', 'k') end", "0")
	}
	s.Restart()
	if got := do(t, s, "GET", "k"); got != "300000" {
		t.Errorf("got %v, want 300000", got)
	}
}

func TestServer_requirepass(t *testing.T) {
	s := redisserver.Start(t, "--requirepass", "secret")
	do(t, s, "PING")
}

func TestStartN(t *testing.T) {
	servers := redisserver.StartN(t, 3)
	do(t, servers[0], "SET", "k", "v")
	if got := do(t, servers[1], "GET", "k"); got != nil {
		t.Errorf("the second server knows %v", got)
	}
}

func TestStartTLS(t *testing.T) {
	s := redisserver.StartTLS(t)
	conn, err := tls.Dial("tcp", s.TLSAddr(), s.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestStartCluster(t *testing.T) {
	s := redisserver.StartCluster(t)
	if _, err := s.Do("MSET", "a", "1", "b", "2"); err == nil || !strings.HasPrefix(err.Error(), "CROSSSLOT") {
		t.Errorf("got %v, want CROSSSLOT", err)
	}
}

func TestStart_endsWithTheTest(t *testing.T) {
	var pid string
	t.Run("inner", func(t *testing.T) {
		s := redisserver.Start(t)
		info := do(t, s, "INFO", "server").(string)
		_, rest, _ := strings.Cut(info, "process_id:")
		pid, _, _ = strings.Cut(rest, "\r\n")
		s.Pause()
	})
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if syscall.Kill(n, 0) == nil {
		t.Errorf("process %d still runs", n)
	}
}
