package redlocktest_test

import (
	"strings"
	"testing"

	"github.com/redtick/redtick/redlock/redlocktest"
)

func TestServer_Version(t *testing.T) {
	const (
		syntax  = "ERR syntax error"
		wrapped = "ERR Error running script (call to f_<sha>): @user_script:1: "
	)
	all := []string{"5.0", "6.0", "6.2", "7.0"}
	for _, c := range []struct {
		command string
		want    [4]string // the error in each version, "" for none
	}{
		{"SET k v NX PX 9000", [4]string{}},
		{"SET k v NX GET PX 9000", [4]string{syntax, syntax, syntax, ""}},
		{"SET k v GET", [4]string{syntax, syntax, "", ""}},
		{"NOSUCH a b", [4]string{
			"ERR unknown command `NOSUCH`, with args beginning with: `a`, `b`, ", "ERR unknown command `NOSUCH`, with args beginning with: `a`, `b`, ",
			"ERR unknown command `NOSUCH`, with args beginning with: `a`, `b`, ", "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' ",
		}},
		{"EVAL return\tredis.call('GET','h') 0", before7(wrapped+"WRONGTYPE Operation against a key holding the wrong kind of value ",
			"WRONGTYPE Operation against a key holding the wrong kind of value script: <sha>, on @user_script:1.")},
		{"EVAL return\tredis.pcall('GET','h') 0", before7("WRONGTYPE Operation against a key holding the wrong kind of value",
			"WRONGTYPE Operation against a key holding the wrong kind of value")},
		{"EVAL return\tredis.call('INCR','text') 0", before7(wrapped+"ERR value is not an integer or out of range ",
			"ERR value is not an integer or out of range script: <sha>, on @user_script:1.")},
		{"EVAL return\tredis.call('NOSUCH') 0", before7(wrapped+"@user_script: 1: Unknown Redis command called from Lua script ",
			"ERR Unknown Redis command called from script script: <sha>, on @user_script:1.")},
		{"EVAL return\tredis.call('SET','k','v','NX','GET') 0", before7(wrapped+"ERR syntax error ", "")},
		{"EVAL error('mine') 0", before7(wrapped+"user_script:1: mine ", "ERR user_script:1: mine script: <sha>, on @user_script:1.")},
		{"EVAL return\tredis.call('INFO','server') 0", [4]string{}},
	} {
		for i, version := range all {
			server := redlocktest.NewServer()
			server.Version(version)
			server.Do("HSET", "h", "f", "v")
			server.Do("SET", "text", "x")
			words := strings.Split(c.command, " ")
			for j := range words {
				words[j] = strings.ReplaceAll(words[j], "\t", " ")
			}
			sha, _ := redlocktest.NewServer().Do("SCRIPT", "LOAD", words[min(1, len(words)-1)]).Value.(string)
			got := ""
			if err := server.Do(words...).Err; err != nil {
				got = err.Error()
			}
			if want := strings.ReplaceAll(c.want[i], "<sha>", sha); got != want {
				t.Errorf("%s: %s\n got %q\nwant %q", version, c.command, got, want)
			}
		}
	}
}

func before7(before, since string) [4]string { return [4]string{before, before, before, since} }

func TestServer_Version_refusal(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, link *redlocktest.Node) {
		server.Version("6.2")
		server.Answer("READONLY")
		refused(t, link, "READONLY", "SET", "k", "v")
		reply, _ := ask(link, "EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", "k")
		const want = "): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.   "
		if reply.Err == nil || !strings.HasSuffix(reply.Err.Error(), want) {
			t.Errorf("%v, want …%s", reply.Err, want)
		}
	})
}

func TestServer_Version_misconf(t *testing.T) {
	for version, want := range map[string]string{
		"6.2": "MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.",
		"7.0": "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
	} {
		bubble(t, func(t *testing.T, server *redlocktest.Server, link *redlocktest.Node) {
			server.Version(version)
			server.Answer("MISCONF")
			if reply, _ := ask(link, "SET", "k", "v"); reply.Err == nil || !strings.HasPrefix(reply.Err.Error(), want) {
				t.Errorf("%s: %v, want %s", version, reply.Err, want)
			}
		})
	}
}

func TestServer_Version_info(t *testing.T) {
	server := redlocktest.NewServer()
	server.Version("5.0")
	server.Restart()
	if got := info(server.Node("link"), "redis_version"); got != "5.0.14" {
		t.Errorf("redis_version %q after a restart, want 5.0.14", got)
	}
}

func TestServer_Version_unknown(t *testing.T) {
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, `"8"`) || !strings.Contains(text, `"6.2"`) {
			t.Errorf("panic %q names not both the version and the versions there are", text)
		}
	}()
	redlocktest.NewServer().Version("8")
}
