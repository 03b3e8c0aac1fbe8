package redlocktest_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func TestNode_keeps_the_contract(t *testing.T) {
	redlocktest.TestNode(t, func(testing.TB) driver.Node { return redlocktest.NewServer().Node("memory") })
}

func command(words ...string) driver.Command {
	c := make(driver.Command, len(words))
	for i, word := range words {
		c[i] = word
	}
	return c
}

// ask sends one command with a timeout of a second, and returns how long it took.
func ask(node driver.Node, words ...string) (driver.Reply, time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	start := time.Now()
	replies := node.Do(ctx, []driver.Command{command(words...)})
	return replies[0], time.Since(start)
}

func wantReply(t *testing.T, node driver.Node, value any, took time.Duration, words ...string) {
	t.Helper()
	reply, elapsed := ask(node, words...)
	if reply.Err != nil || reply.Value != value || elapsed != took {
		t.Errorf("%v: %v, error %v, after %v; want %v after %v", words, reply.Value, reply.Err, elapsed, value, took)
	}
}

func wantFailure(t *testing.T, node driver.Node, cause error, took time.Duration, words ...string) {
	t.Helper()
	reply, elapsed := ask(node, words...)
	if !errors.Is(reply.Err, cause) || elapsed != took {
		t.Errorf("%v: %v, error %v, after %v; want error %v after %v", words, reply.Value, reply.Err, elapsed, cause, took)
	}
}

func wantGet(t *testing.T, server *redlocktest.Server, key, want string) {
	t.Helper()
	if got, _ := server.Get(key); got != want {
		t.Errorf("%s is %q after %v, want %q", key, got, time.Now(), want)
	}
}

// bubble runs a test on one server and one link to it.
func bubble(t *testing.T, test func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := redlocktest.NewServer()
		test(t, server, server.Node("link"))
	})
}

func TestNode_Delay(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		wantReply(t, node, "OK", 0, "SET", "k", "v")
		node.Delay(10*time.Millisecond, 10*time.Millisecond)
		wantReply(t, node, "v", 20*time.Millisecond, "GET", "k")
		time.AfterFunc(9*time.Millisecond, func() { wantGet(t, server, "k", "v") })
		time.AfterFunc(11*time.Millisecond, func() { wantGet(t, server, "k", "w") })
		wantReply(t, node, "OK", 20*time.Millisecond, "SET", "k", "w")
	})
}

func TestNode_Delay_repeats(t *testing.T) {
	history := func(name string, seed uint64) (all string) {
		node := redlocktest.NewServer().Node(name)
		node.Delay(time.Millisecond, 9*time.Millisecond)
		if seed != 0 {
			node.Seed(seed)
		}
		for range 20 {
			_, took := ask(node, "PING")
			if took < 2*time.Millisecond || took > 18*time.Millisecond {
				t.Errorf("two ways of 1 to 9 ms took %v", took)
			}
			all += took.String() + " "
		}
		return all
	}
	synctest.Test(t, func(t *testing.T) {
		if first, again := history("a", 0), history("a", 0); first != again || history("a", 5) != history("b", 5) {
			t.Error("the same name or seed gives other delays")
		}
		if history("a", 0) == history("b", 0) || history("a", 1) == history("a", 2) {
			t.Error("another name or seed gives the same delays")
		}
	})
}

func TestNode_slow_request_arrives_after_its_sender_gave_up(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		node.Delay(3*time.Second, 3*time.Second)
		wantFailure(t, node, context.DeadlineExceeded, time.Second, "SET", "k", "v")
		time.Sleep(1999 * time.Millisecond)
		wantGet(t, server, "k", "")
		time.Sleep(2 * time.Millisecond)
		wantGet(t, server, "k", "v")
	})
}

func TestNode_Hang(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		other := server.Node("other")
		node.Hang()
		wantFailure(t, node, context.DeadlineExceeded, time.Second, "SET", "k", "v")
		wantReply(t, other, nil, 0, "GET", "k")
		node.Heal()
		wantReply(t, node, nil, 0, "GET", "k")
		if n := server.Batches(); n != 2 {
			t.Errorf("%d batches executed, want 2: none while hung", n)
		}
	})
}

func TestNode_Hang_takes_what_is_on_its_way(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		node.Delay(10*time.Millisecond, 10*time.Millisecond)
		time.AfterFunc(15*time.Millisecond, node.Hang)
		wantFailure(t, node, context.DeadlineExceeded, time.Second, "SET", "k", "v")
		wantGet(t, server, "k", "v")
		node.Heal()
		time.AfterFunc(5*time.Millisecond, node.Hang)
		wantFailure(t, node, context.DeadlineExceeded, time.Second, "SET", "k", "w")
		wantGet(t, server, "k", "v")
	})
}

func TestNode_IgnoreDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, _ *redlocktest.Server, node *redlocktest.Node) {
		node.IgnoreDeadline(true)
		node.Hang()
		wantFailure(t, node, os.ErrDeadlineExceeded, redlocktest.DefaultTimeout, "PING")
		node.Timeout(20 * time.Second)
		wantFailure(t, node, os.ErrDeadlineExceeded, 20*time.Second, "PING")
		node.IgnoreDeadline(false)
		wantFailure(t, node, context.DeadlineExceeded, time.Second, "PING")
		node.Timeout(10 * time.Millisecond)
		wantFailure(t, node, os.ErrDeadlineExceeded, 10*time.Millisecond, "PING")
	})
}

func TestNode_context_that_is_over(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		set := []driver.Command{command("SET", "k", "v")}
		if err := node.Do(ctx, set)[0].Err; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
		wantGet(t, server, "k", "")
		node.IgnoreDeadline(true)
		if err := node.Do(ctx, set)[0].Err; err != nil {
			t.Errorf("a node that ignores its context returns %v", err)
		}
		wantGet(t, server, "k", "v")
	})
}

var errRefused = errors.New("connection refused")

func TestNode_Inject(t *testing.T) {
	const far = 7 * time.Millisecond
	for _, test := range []struct {
		name  string
		fault redlocktest.Fault
		err   error
		took  time.Duration
		left  string
	}{
		{"healthy", redlocktest.Fault{}, nil, 2 * far, "v"},
		{"slow", redlocktest.Fault{Delay: far}, nil, 4 * far, "v"},
		{"request lost", redlocktest.Fault{DropRequest: true}, context.DeadlineExceeded, time.Second, ""},
		{"reply lost", redlocktest.Fault{DropReply: true}, context.DeadlineExceeded, time.Second, "v"},
		{"refused", redlocktest.Fault{Err: errRefused}, errRefused, 0, ""},
		{"broken after execution", redlocktest.Fault{Err: errRefused, DropReply: true}, errRefused, 2 * far, "v"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
				node.Delay(far, far)
				node.Inject(1, test.fault)
				reply, took := ask(node, "SET", "k", "v")
				if !errors.Is(reply.Err, test.err) || took != test.took {
					t.Errorf("error %v after %v, want %v after %v", reply.Err, took, test.err, test.took)
				}
				wantGet(t, server, "k", test.left)
				wantReply(t, node, "PONG", 2*far, "PING")
			})
		})
	}
}

func TestNode_Inject_takes_turns(t *testing.T) {
	bubble(t, func(t *testing.T, _ *redlocktest.Server, node *redlocktest.Node) {
		node.Inject(0, redlocktest.Fault{Delay: time.Hour})
		node.Inject(2, redlocktest.Fault{Err: errRefused})
		node.Inject(1, redlocktest.Fault{Delay: time.Millisecond})
		wantFailure(t, node, errRefused, 0, "PING")
		wantFailure(t, node, errRefused, 0, "PING")
		wantReply(t, node, "PONG", 2*time.Millisecond, "PING")
		wantReply(t, node, "PONG", 0, "PING")
		node.Inject(-1, redlocktest.Fault{Err: errRefused})
		for range 5 {
			wantFailure(t, node, errRefused, 0, "PING")
		}
		node.Heal()
		wantReply(t, node, "PONG", 0, "PING")
	})
}

func TestNode_Inject_executes_again(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		node.Inject(1, redlocktest.Fault{Again: time.Minute})
		wantReply(t, node, "OK", 0, "SET", "k", "v", "NX")
		wantReply(t, node, int64(1), 0, "DEL", "k")
		node.Disconnect() // the copy has a connection of its own
		time.Sleep(time.Minute - time.Millisecond)
		wantGet(t, server, "k", "")
		time.Sleep(2 * time.Millisecond)
		wantGet(t, server, "k", "v")
		if n := server.Commands("set"); n != 2 {
			t.Errorf("SET was executed %d times, want 2", n)
		}
	})
}

func TestNode_OnBatch(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		node.OnBatch(func(commands []driver.Command) redlocktest.Fault {
			if commands[0][0] == "GET" {
				server.Restart() // a hook may use everything
				node.Delay(0, 0)
				return redlocktest.Fault{Delay: time.Millisecond}
			}
			return redlocktest.Fault{}
		})
		wantReply(t, node, "OK", 0, "SET", "k", "v")
		wantReply(t, node, nil, 2*time.Millisecond, "GET", "k")
		node.Heal()
		wantReply(t, node, nil, 0, "GET", "k")
	})
}

func TestNode_Disconnect(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		node.Delay(10*time.Millisecond, 10*time.Millisecond)
		time.AfterFunc(5*time.Millisecond, node.Disconnect)
		wantFailure(t, node, redlocktest.ErrDisconnected, 5*time.Millisecond, "SET", "early", "v")
		time.AfterFunc(15*time.Millisecond, node.Disconnect)
		wantFailure(t, node, redlocktest.ErrDisconnected, 15*time.Millisecond, "SET", "late", "v")
		time.Sleep(time.Second)
		wantGet(t, server, "early", "")
		wantGet(t, server, "late", "v")
		wantReply(t, node, "PONG", 20*time.Millisecond, "PING")
	})
}

func TestNode_refuses_what_is_no_string(t *testing.T) {
	node := redlocktest.NewServer().Node("link")
	for _, bad := range []driver.Command{{"SET", "k", 17}, {"SET", "k", []byte("v")}, {}} {
		replies := node.Do(context.Background(), []driver.Command{command("PING"), bad})
		if len(replies) != 2 || replies[0].Err == nil || !strings.HasPrefix(replies[1].Err.Error(), "redlocktest: ") {
			t.Errorf("%v: replies %v, want an error for each command", bad, replies)
		}
	}
}

func TestNode_keeps_its_own_copy_of_the_commands(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		node.Delay(2*time.Second, 2*time.Second)
		batch := []driver.Command{command("SET", "k", "v")}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		node.Do(ctx, batch)
		batch[0][2] = "w"
		batch[0] = nil
		time.Sleep(2 * time.Second)
		wantGet(t, server, "k", "v")
	})
}
