package redlocktest_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func TestServer_keys_end(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		wantReply(t, node, "OK", 0, "SET", "k", "v", "PX", "100")
		time.Sleep(40 * time.Millisecond)
		wantReply(t, node, int64(60), 0, "PTTL", "k")
		time.Sleep(60 * time.Millisecond)
		wantReply(t, node, int64(0), 0, "PTTL", "k")
		wantReply(t, node, "v", 0, "GET", "k")
		time.Sleep(time.Millisecond)
		if keys := server.Keys(); len(keys) != 0 {
			t.Errorf("keys %q, want none", keys)
		}
		wantReply(t, node, nil, 0, "GET", "k")
		wantReply(t, node, "OK", 0, "SET", "k", "w", "NX")
		wantReply(t, node, int64(-1), 0, "PTTL", "k")
	})
}

func TestServer_SetClock(t *testing.T) {
	for _, test := range []struct {
		name   string
		offset time.Duration
		rate   float64
		ends   time.Duration // how long a key of one second lives
	}{
		{"right", 0, 1, 1001 * time.Millisecond},
		{"ahead", 80 * time.Hour, 1, 1001 * time.Millisecond},
		{"behind", -time.Hour, 1, 1001 * time.Millisecond},
		{"fast", 0, 2, 501 * time.Millisecond},
		{"slow", 0, 0.5, 2002 * time.Millisecond},
		{"a little fast", 0, 1.01, 992 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
				server.SetClock(test.offset, test.rate)
				start := serverTime(t, node)
				if ahead := time.Until(start); ahead != test.offset {
					t.Errorf("TIME is %v ahead, want %v", ahead, test.offset)
				}
				ask(node, "SET", "k", "v", "PX", "1000")
				time.Sleep(test.ends - time.Millisecond)
				wantGet(t, server, "k", "v")
				time.Sleep(time.Millisecond)
				wantGet(t, server, "k", "")
				passed := time.Duration(float64(test.ends) * test.rate)
				if got := serverTime(t, node).Sub(start); (got - passed).Abs() > time.Microsecond {
					t.Errorf("TIME went on by %v, want %v", got, passed)
				}
			})
		})
	}
}

func serverTime(t *testing.T, node driver.Node) time.Time {
	t.Helper()
	reply, _ := ask(node, "TIME")
	parts := reply.Value.([]any)
	seconds, _ := strconv.ParseInt(parts[0].(string), 10, 64)
	micros, _ := strconv.ParseInt(parts[1].(string), 10, 64)
	return time.UnixMicro(seconds*1_000_000 + micros)
}

func TestServer_SetClock_forward_ends_keys_early(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		ask(node, "SET", "k", "v", "PX", "60000")
		server.SetClock(time.Minute+time.Millisecond, 1)
		wantReply(t, node, nil, 0, "GET", "k")
	})
}

// info returns a field of INFO.
func info(node driver.Node, field string) string {
	reply, _ := ask(node, "INFO")
	_, rest, _ := strings.Cut(reply.Value.(string), "\r\n"+field+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

func TestServer_Restart(t *testing.T) {
	for _, test := range []struct {
		name    string
		restart func(*redlocktest.Server)
		left    string
		run     bool // another run id
		scripts any
	}{
		{"without data", (*redlocktest.Server).Restart, "", true, int64(0)},
		{"with data", (*redlocktest.Server).RestartWithData, "v", true, int64(0)},
		{"promoted", (*redlocktest.Server).Promote, "v", false, int64(1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
				run, replication := info(node, "run_id"), info(node, "master_replid")
				if len(run) != 40 || len(replication) != 40 {
					t.Fatalf("ids %q and %q, want 40 characters each", run, replication)
				}
				ask(node, "SET", "k", "v")
				sha, _ := ask(node, "SCRIPT", "LOAD", "return 1")
				test.restart(server)
				wantGet(t, server, "k", test.left)
				if other := info(node, "run_id") != run; other != test.run {
					t.Errorf("another run id: %v, want %v", other, test.run)
				}
				if info(node, "master_replid") == replication {
					t.Error("the replication id is the same")
				}
				known, _ := ask(node, "SCRIPT", "EXISTS", sha.Value.(string))
				if got := known.Value.([]any)[0]; got != test.scripts {
					t.Errorf("SCRIPT EXISTS: %v, want %v", got, test.scripts)
				}
			})
		})
	}
}

func TestServer_Restart_breaks_what_is_under_way(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		node.Delay(10*time.Millisecond, 10*time.Millisecond)
		time.AfterFunc(5*time.Millisecond, server.Restart)
		wantFailure(t, node, redlocktest.ErrRestarted, 5*time.Millisecond, "SET", "k", "v")
		time.AfterFunc(15*time.Millisecond, server.RestartWithData)
		wantFailure(t, node, redlocktest.ErrRestarted, 15*time.Millisecond, "SET", "l", "v")
		time.Sleep(time.Second)
		if keys := server.Keys(); !slices.Equal(keys, []string{"l"}) {
			t.Errorf("keys %q, want only what had arrived", keys)
		}
		wantReply(t, node, "PONG", 20*time.Millisecond, "PING")
	})
}

func TestServer_Freeze(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		server.Freeze()
		time.AfterFunc(300*time.Millisecond, server.Thaw)
		wantReply(t, node, "PONG", 300*time.Millisecond, "PING")
		wantReply(t, node, "PONG", 0, "PING")
	})
}

func TestServer_Thaw_executes_what_was_given_up(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		server.Freeze()
		for _, text := range []string{"a", "b", "c"} {
			wantFailure(t, node, context.DeadlineExceeded, time.Second, "SET", "k", text, "GET")
		}
		wantGet(t, server, "k", "")
		server.Thaw()
		wantGet(t, server, "k", "c")
		if n := server.Commands("SET"); n != 3 {
			t.Errorf("SET was executed %d times, want 3", n)
		}
	})
}

func TestServer_Restart_forgets_what_reached_the_frozen_process(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		server.Freeze()
		time.AfterFunc(time.Millisecond, server.Restart)
		wantFailure(t, node, redlocktest.ErrRestarted, time.Millisecond, "SET", "k", "v")
		wantReply(t, node, nil, 0, "GET", "k")
		server.Thaw()
		wantReply(t, node, nil, 0, "GET", "k")
	})
}

func TestServer_counts(t *testing.T) {
	server := redlocktest.NewServer()
	node := server.Node("link")
	node.Do(context.Background(), []driver.Command{
		command("set", "k", "v"), command("GET", "k"), command("EVAL", "return redis.call('GET', KEYS[1])", "1", "k"),
	})
	node.Do(context.Background(), []driver.Command{command("GET", "k")})
	server.Do("GET", "k")
	for name, want := range map[string]int{"SET": 1, "get": 2, "EVAL": 1, "DEL": 0} {
		if n := server.Commands(name); n != want {
			t.Errorf("%s was executed %d times, want %d", name, n, want)
		}
	}
	if n := server.Batches(); n != 2 {
		t.Errorf("%d batches, want 2", n)
	}
}

func TestServer_Do_endlessRecursion(t *testing.T) {
	server := redlocktest.NewServer()
	if reply := server.Do("EVAL", "local function f() return 1 + f() end return f()", "0"); reply.Err == nil || !strings.Contains(reply.Err.Error(), "overflow") {
		t.Errorf("got %v, error %v", reply.Value, reply.Err)
	}
	if reply := server.Do("EVAL", "return 1", "0"); reply.Value != int64(1) {
		t.Errorf("afterwards: %v, error %v", reply.Value, reply.Err)
	}
}

func TestServer_Do_without_a_command(t *testing.T) {
	if reply := redlocktest.NewServer().Do(); reply.Err == nil {
		t.Error("no error")
	}
}

func TestServer_sweeps_dead_keys(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, _ *redlocktest.Node) {
		server.Do("SET", "stays", "v")
		for i := range 10_000 {
			server.Do("SET", strconv.Itoa(i), "v", "PX", "10")
			time.Sleep(time.Millisecond)
		}
		if keys := server.Keys(); len(keys) != 11 || keys[10] != "stays" {
			t.Errorf("keys %q are alive, want the last ten and the one that stays", keys)
		}
	})
}

func TestServer_SCAN_misses_no_key_that_stays(t *testing.T) {
	server := redlocktest.NewServer()
	for i := range 100 {
		server.Do("SET", strconv.Itoa(i), "v")
	}
	seen := make(map[string]bool)
	cursor := "0"
	for page := 0; page == 0 || cursor != "0"; page++ {
		list := server.Do("SCAN", cursor, "COUNT", "7").Value.([]any)
		cursor = list[0].(string)
		for _, key := range list[1].([]any) {
			seen[key.(string)] = true
		}
		server.Do("DEL", strconv.Itoa(2*page))
		server.Do("SET", "new"+strconv.Itoa(page), "v")
		server.Do("SET", strconv.Itoa(99-2*page), "again")
	}
	for i := 51; i < 100; i += 2 {
		if !seen[strconv.Itoa(i)] {
			t.Errorf("SCAN missed key %d", i)
		}
	}
}

func TestNodes(t *testing.T) {
	servers := redlocktest.Servers(3)
	for i, node := range redlocktest.Nodes(servers, "client") {
		link := node.(*redlocktest.Node)
		if want := "client/" + strconv.Itoa(i+1); link.String() != want {
			t.Errorf("node %d is named %q, want %q", i, link, want)
		}
		ask(link, "SET", "k", strconv.Itoa(i))
		wantGet(t, servers[i], "k", strconv.Itoa(i))
	}
}

func TestServer_scripts_are_fast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := redlocktest.NewServer()
		node := server.Node("link")
		sha := server.Do("SCRIPT", "LOAD", readScript("extend")).Value.(string)
		extend := []driver.Command{command("EVALSHA", sha, "2", "k", "d", "token", "1000", "0")}
		for range 100_000 {
			if reply := node.Do(context.Background(), extend)[0]; reply.Value != int64(1) {
				t.Fatalf("reply %v", reply)
			}
		}
	})
}
