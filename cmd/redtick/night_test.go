//go:build unix

package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// Seen to fail without the cure of each case.
func TestCures(t *testing.T) {
	t.Parallel()
	locked := redisserver.Start(t, "--requirepass", "right")
	secret := redisserver.StartTLS(t)
	plain := redisserver.Start(t)
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	for _, user := range [][]string{{"reads", "~*", "+@read", "+info", "+time", "+ping"}, {"nothing"}} {
		if _, err := plain.Do(append([]string{"ACL", "SETUSER", user[0], "on", ">pw"}, user[1:]...)...); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, node, cure string }{
		{"no password", locked.Addr(), "it needs a password"},
		{"wrong password", "redis://:wrong@" + locked.Addr(), "the user name or password is wrong"},
		{"no permission", "redis://nothing:pw@" + plain.Addr(), "SECURITY.md"},
		{"nothing listens", "127.0.0.1:1", "nothing listens there"},
		{"a web server", strings.TrimPrefix(web.URL, "http://"), "that is not a Redis server"},
		{"no socket", "unix:///no/such/socket", "there is no such socket"},
		{"no database", "redis://" + plain.Addr() + "/99", "it has no database of that number"},
		{"a TLS port", secret.TLSAddr(), "write rediss://"},
		{"another's CA", "rediss://" + secret.TLSAddr(), "--tls-ca"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, args := range [][]string{{"status"}, {"ls"}, {"pause", "report"}, {"bootstrap"}, {"run", "-name", "report", "--", "true"}, {"run", "-name", "report", "-tick", "1m", "--", "true"}} {
				o := redtick(t, c.node, args...)
				// On a busy machine a handshake may take that long.
				for try := 0; try < 5 && (strings.Contains(o.all(), "no answer within") || strings.Contains(o.all(), "deadline exceeded")); try++ {
					o = redtick(t, c.node, args...)
				}
				if o.code == 0 || !strings.Contains(o.all(), c.cure) || strings.Contains(o.all(), "bring it back") || strings.Contains(o.all(), `list ""`) {
					t.Errorf("%v: exit code %d, want an error with %q in:\n%s", args, o.code, c.cure, o.all())
				}
			}
		})
	}
	t.Run("reads, but may not vote", func(t *testing.T) {
		o := redtick(t, "redis://reads:pw@"+plain.Addr(), "status")
		has(t, o.stdout, "primary", "1 of 1 nodes answer, 0 can vote, 1 needed: this user can acquire no lock", "answers but would not vote: NOPERM")
		if o.code != 2 {
			t.Errorf("exit code %d, want 2", o.code)
		}
		// Seen to fail when the nodes are asked one after the other, and when their refusals are reported as one node's.
		three := newFleet(t)
		for _, s := range three.servers {
			if _, err := s.Do("ACL", "SETUSER", "reads", "on", ">pw", "~*", "+@read", "+info", "+time", "+ping"); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		o = redtick(t, "redis://reads:pw@"+strings.ReplaceAll(three.addrs, ",", ",redis://reads:pw@"), "status")
		if took := time.Since(begin); took > 2*time.Second || o.code != 2 {
			t.Errorf("three nodes: exit code %d after %v, want 2 within 2 s", o.code, took)
		}
		for _, s := range three.servers {
			has(t, o.stdout, s.Addr()+" answers but would not vote: NOPERM")
		}
	})
	// Seen to fail when a node that refuses INFO is out, and so no lock can be acquired.
	t.Run("may vote, but not use INFO", func(t *testing.T) {
		if _, err := plain.Do("ACL", "SETUSER", "votes", "on", ">pw", "~*", "&*", "+@all", "-info"); err != nil {
			t.Fatal(err)
		}
		o := redtick(t, "redis://votes:pw@"+plain.Addr(), "status")
		has(t, o.stdout, "1 of 1 nodes answer, 1 needed: locks can be acquired", "allow INFO and CONFIG GET")
		if o.code != 1 {
			t.Errorf("exit code %d, want 1", o.code)
		}
	})
	t.Run("names that cannot be read", func(t *testing.T) {
		redtick(t, plain.Addr(), "pause", "other")
		if _, err := plain.Do("ACL", "SETUSER", "partly", "on", ">pw", "~app:*", "+@all"); err != nil {
			t.Fatal(err)
		}
		partly := "redis://partly:pw@" + plain.Addr()
		has(t, redtick(t, partly, "ls").stdout, "unknown")
		has(t, redtick(t, partly, "show", "report").stderr, "give the --prefix of the services")
		has(t, redtick(t, partly, "trigger", "app:report").stderr, "allow it &redtick:trigger")
	})
}

// Seen to fail when a replica counts as a vote.
func TestStatus_replica_only(t *testing.T) {
	t.Parallel()
	replica := redisserver.Start(t, "--replicaof", "127.0.0.1", "1")
	o := redtick(t, replica.Addr(), "status")
	has(t, o.stdout, "0 can vote", "no lock can be acquired")
	if o.code != 2 {
		t.Errorf("exit code %d, want 2", o.code)
	}
}

// Seen to fail with the columns in UTC alone, and with votes of a name that nobody holds.
func TestTimes(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.redtick("run", "-name", "report", "-tick", "24h", "-zone", "UTC", "--", "sh", "-c", "exit 3")
	in := func(zone string, args ...string) string {
		p := f.prepare(args...)
		p.Env = append(p.Env, "TZ="+zone)
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		return p.end().stdout
	}
	for _, args := range [][]string{{"ls"}, {"runs", "report"}, {"show", "report"}} {
		text := in("Asia/Tokyo", args...)
		has(t, text, "T00:00:00Z", "09:00:00 JST", "failed")
		text = in("UTC", args...)
		aged := strings.Contains(text, " ago") || strings.Contains(text, "now") // right after midnight
		if strings.Contains(text, "UTC") || strings.Contains(text, "LOCAL TIME") || strings.Contains(text, "0/3") || !aged {
			t.Errorf("%v in UTC:\n%s", args, text)
		}
	}
	o := f.redtick("pause", "report", "--for", "90m")
	has(t, o.stdout, "until 20", "in 1h")
	has(t, f.redtick("ls").stdout, "paused")
}

// Seen to fail when show says that fewer than a majority have a split name, and that nobody holds one whose holder the
// nodes that are out know.
func TestShow_votes(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hold("report")
	for n, token := range []string{"a", "b"} {
		if _, err := f.servers[n].Do("SET", "split", token); err != nil {
			t.Fatal(err)
		}
	}
	const want = "no holder is seen to have a majority"
	has(t, f.redtick("show", "split").stdout, "2/3: "+want)
	f.servers[0].Kill()
	f.servers[1].Kill()
	has(t, f.redtick("show", "report").stdout, "unknown", "1/3: "+want)
}

// Seen to fail when a name of blanks is not quoted.
func TestList_blank_names(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, name := range []string{" ", `"x"`} {
		f.redtick("run", "-name", name, "-fence", "--", "true")
	}
	has(t, f.redtick("ls").stdout, `" "`, `"\"x\""`)
}

// Seen to fail when only the innermost run is known: the last one waits for the first.
func TestRun_nested(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o := f.redtick("run", "-name", "a", "--", binary, "run", "-name", "b", "--", binary, "run", "-name", "a", "--", "true")
	has(t, o.stderr, "they would wait for each other")
	if o.code != 75 {
		t.Errorf("exit code %d, want 75", o.code)
	}
	if o = f.redtick("run", "-name", "a", "--", binary, "run", "-name", "b", "--", "sh", "-c", "exit 5"); o.code != 5 || o.stderr != "" {
		t.Errorf("other names: %+v", o)
	}
}

// Seen to fail when the default observer of a Locker repeats what run says.
func TestRun_speaks_once(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o := f.redtick("run", "-name", "a", "-tick", "2010-01-01T00:00:00Z", "--", "true")
	if o.code != 64 || strings.Count(o.stderr, "older than the retention") != 1 {
		t.Errorf("%+v", o)
	}
	o = f.redtick("run", "-name", "a", "-tick", "24h", "--", "sh", "-c", "exit 3")
	if o.code != 3 || o.stderr != "" {
		t.Errorf("%+v", o)
	}
	unconfirmed := f.start("run", "-name", "a", "--", "sh", "-c", "touch began; while [ ! -e go ]; do sleep 0.01; done")
	f.await("began")
	f.servers[0].Kill()
	f.servers[1].Kill()
	f.leave("go")
	if o := unconfirmed.end(); o.code != 0 || !strings.Contains(o.stderr, "not every node confirmed the release") || strings.Contains(o.stderr, "event=released") {
		t.Errorf("a release that is not confirmed: %+v", o)
	}
	has(t, f.redtick("run", "-name", "a", "-ttl", "-1s", "--", "true").stderr, "--ttl is -1s")
	has(t, f.redtick("ls", "-timeout", "1").stderr, "write one, as in 500ms")
	has(t, f.redtick("pause", "x", "--for", "1d").stderr, "and 24h for a day")
	has(t, f.redtick("pause", "x", "--for", "tomorrow").stderr, "and 24h for a day")
}

// Seen to fail when the first look's error is passed on as it is.
func TestNothing_done_without_a_quorum(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.servers[0].Kill()
	f.servers[1].Kill()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"forget", "report"}, `nothing was forgotten: show "report": no quorum`},
		{[]string{"release", "report", "--token", "x"}, `nothing was released: show "report": no quorum`},
	} {
		o := f.redtick(c.args...)
		has(t, o.stderr, c.want, f.servers[0].Addr()+": ")
		if o.code != 2 {
			t.Errorf("%v: exit code %d, want 2", c.args, o.code)
		}
	}
}

// Seen to fail when bootstrap declares nodes that vote already, and without the
// cure for one that has restarted.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	if o := f.redtick("bootstrap"); o.code != 0 || o.stdout != "3 nodes may vote from now on\n" {
		t.Errorf("fresh nodes: %+v", o)
	}
	if o := newFleet(t).redtick("bootstrap", "-o", "json"); o.code != 0 || decode[map[string]int](t, o.stdout)["nodes"] != 3 {
		t.Errorf("fresh nodes, in JSON: %+v", o)
	}
	if o := f.redtick("bootstrap"); o.code != 1 || !strings.Contains(o.stderr, "it was declared fresh before") {
		t.Errorf("a second time: %+v", o)
	}
	if _, err := f.servers[0].Do("HSET", "redtick:guard", "id", "another process", "birth", "1"); err != nil {
		t.Fatal(err)
	}
	if o := f.redtick("bootstrap"); o.code != 1 || !strings.Contains(o.stderr, "node abstains") || strings.Count(o.stderr, "it votes by itself") != 1 || !strings.Contains(o.stderr, "old, and it votes by itself once that is more than the longest TTL") {
		t.Errorf("a node that has restarted: %+v", o)
	}
}

// asBash defines the two functions of bash-completion that the script uses.
const asBash = `
_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
__ltrim_colon_completions() { :; }
compopt() { :; }
source <(redtick completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMPREPLY=()
__start_redtick
printf '%s\n' "${COMPREPLY[@]}"
`

// Seen to fail when the commands have no ValidArgsFunction, and when they ask only about jobs.
func TestCompletion_bash(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	f := newFleet(t)
	f.redtick("run", "-name", "report", "-tick", "24h", "--", "true")
	f.redtick("pause", `odd "name" ü`)
	f.hold("leader")
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"redtick", "paus"}, "pause"},
		{[]string{"redtick", "pause", "re"}, "report"},
		{[]string{"redtick", "trigger", "re"}, "report"},
		{[]string{"redtick", "show", "odd"}, `odd\ \"name\"\ ü`},
		{[]string{"redtick", "release", "le"}, "leader"},
		{[]string{"redtick", "pause", "le"}, ""},
		{[]string{"redtick", "run", "--name", "lead"}, "leader"},
		{[]string{"redtick", "show", "report", ""}, ""},
		{[]string{"redtick", "show", "-o", "js"}, "json"},
		{[]string{"redtick", "--nodes", "127.0.0.1:1", "show", ""}, ""},
	} {
		cmd := exec.Command(bash, append([]string{"-c", asBash}, c.words...)...)
		cmd.Args = append(cmd.Args[:3:3], append([]string{"bash"}, c.words...)...)
		cmd.Env = append(os.Environ(), "REDIS_ADDRS="+f.addrs, "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.words, got, err, c.want)
		}
	}
}
