package redlocktest_test

import (
	"strings"
	"testing"

	"github.com/redtick/redtick/redlock/redlocktest"
)

func refused(t *testing.T, link *redlocktest.Node, code string, words ...string) {
	t.Helper()
	if reply, _ := ask(link, words...); reply.Err == nil || !strings.HasPrefix(reply.Err.Error(), code+" ") {
		t.Errorf("%v: %v, error %v, want %s", words, reply.Value, reply.Err, code)
	}
}

func TestServer_Answer(t *testing.T) {
	for _, code := range []string{"BUSY", "LOADING", "MISCONF", "READONLY", "OOM", "NOREPLICAS", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN"} {
		bubble(t, func(t *testing.T, server *redlocktest.Server, link *redlocktest.Node) {
			server.Answer(code)
			refused(t, link, code, "EVAL", "return redis.call('SET', KEYS[1], KEYS[2])", "2", "k", "v")
			if keys := server.Keys(); len(keys) != 0 {
				t.Errorf("%s: %q were written", code, keys)
			}
			if reply := server.Do("SET", "k", "v"); reply.Err != nil {
				t.Errorf("%s: Do is refused: %v", code, reply.Err)
			}
			server.Answer("")
			wantReply(t, link, "v", 0, "GET", "k")
		})
	}
}

func TestServer_Answer_executesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, link *redlocktest.Node) {
		server.Answer("BUSY")
		refused(t, link, "BUSY", "SET", "k", "v")
		if n := server.Commands("SET"); n != 0 {
			t.Errorf("%d executions of a refused command", n)
		}
		server.RestartWithData()
		wantReply(t, link, "OK", 0, "SET", "k", "v")
	})
}

// A server that becomes busy while a request is in flight refuses it on arrival.
func TestServer_Answer_onArrival(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, link *redlocktest.Node) {
		server.Freeze()
		done := make(chan struct{})
		go func() {
			defer close(done)
			refused(t, link, "LOADING", "SET", "k", "v")
		}()
		server.Answer("LOADING")
		server.Thaw()
		<-done
	})
}

func TestServer_Answer_subscriber(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, link *redlocktest.Node) {
		server.Answer("BUSY")
		err := link.Subscribe(t.Context(), "c", func() { t.Error("subscribed") }, func(string) {})
		if err == nil || !strings.HasPrefix(err.Error(), "BUSY ") {
			t.Errorf("error %v, want BUSY", err)
		}
	})
}

func TestServer_Answer_unknownCode(t *testing.T) {
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, `"BSY"`) || !strings.Contains(text, `"BUSY"`) {
			t.Errorf("panic %q names not both the code and the codes there are", text)
		}
	}()
	redlocktest.NewServer().Answer("BSY")
}
