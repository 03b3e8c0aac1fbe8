package exchange_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// cluster answers at once, but for keys whose master hangs until the context
// ends, as a client does. Reads are answered by the master's replica.
type cluster struct {
	mu   sync.Mutex
	dead []string // prefixes of keys; "" is every key
	sent []string

	busy, top int // batches under way
}

func (c *cluster) do(ctx context.Context, commands []driver.Command) []driver.Reply {
	replies := make([]driver.Reply, len(commands))
	hangs := false
	c.mu.Lock()
	c.busy++
	c.top = max(c.top, c.busy)
	for i, command := range commands {
		key := exchange.Key(command)
		if command[0] == "SET" {
			c.sent = append(c.sent, key)
		}
		if command[0] != "PTTL" && slices.ContainsFunc(c.dead, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
			hangs = true
			replies[i].Err = errors.New("context deadline exceeded")
		}
	}
	c.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
	return replies
}

func (c *cluster) most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.top
}

func (c *cluster) kill(prefixes ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = prefixes
}

func (c *cluster) flush() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent
	c.sent = nil
	return sent
}

func ask(t *testing.T, s *exchange.Shards, keys ...string) ([]string, time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var batch []driver.Command
	for _, key := range keys {
		batch = append(batch, driver.Command{"SET", key, "v"})
	}
	start := time.Now()
	var got []string
	for _, r := range s.Do(ctx, batch) {
		text := "ok"
		if r.Err != nil {
			text, _, _ = strings.Cut(r.Err.Error(), " ")
		}
		got = append(got, text)
	}
	return got, time.Since(start)
}

func TestShards_oneHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		s := exchange.NewShards(c.do)
		c.kill("{a}")
		// The first batch finds out, in half of its time, so that it is not late.
		if got, took := ask(t, s, "{a}one", "b"); !slices.Equal(got, []string{"context", "ok"}) || took != 500*time.Millisecond {
			t.Errorf("first: %v after %v", got, took)
		}
		c.flush()
		// It may have been the connection only: a probe finds out.
		if got, took := ask(t, s, "{a}one"); got[0] != "CLUSTERDOWN" || took > 100*time.Millisecond {
			t.Errorf("second: %v after %v", got, took)
		}
		for range 20 {
			if got, took := ask(t, s, "b", "{a}one:more", "{a}two", "c"); !slices.Equal(got, []string{"ok", "CLUSTERDOWN", "CLUSTERDOWN", "ok"}) || took != 0 {
				t.Errorf("then: %v after %v", got, took)
			}
			// Nobody else asks, so the probes have to learn that others are well.
			if got, took := ask(t, s, "{a}one"); got[0] != "CLUSTERDOWN" || took != 0 {
				t.Errorf("alone: %v after %v", got, took)
			}
			time.Sleep(400 * time.Millisecond)
		}
		if sent := c.flush(); slices.ContainsFunc(sent, func(key string) bool { return strings.HasPrefix(key, "{a}") }) {
			t.Error("a refused command was sent")
		}
		c.kill()
		time.Sleep(700 * time.Millisecond)
		if got, _ := ask(t, s, "{a}one"); got[0] != "ok" {
			t.Errorf("once it is back: %v", got)
		}
		time.Sleep(10 * time.Second) // the probing must have ended, or the bubble says so
	})
}

// A first probe may take longer than a caller has.
func TestShards_shortDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		s := exchange.NewShards(c.do)
		c.kill("a")
		ask(t, s, "a", "b")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		start := time.Now()
		if r := s.Do(ctx, []driver.Command{{"SET", "a", "v"}})[0]; r.Err == nil || time.Since(start) > 20*time.Millisecond {
			t.Errorf("%v, %v after %v; the context was over after 20ms", r.Value, r.Err, time.Since(start))
		}
		time.Sleep(10 * time.Second)
	})
}

// If only a connection had died, the shard is used again at once.
func TestShards_silentConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		s := exchange.NewShards(c.do)
		c.kill("a")
		time.AfterFunc(100*time.Millisecond, func() { c.kill() })
		ask(t, s, "a", "b")
		if got, took := ask(t, s, "a"); got[0] != "ok" || took != 0 {
			t.Errorf("got %v after %v", got, took)
		}
		time.Sleep(10 * time.Second)
	})
}

// Refusals with a server's error code would hide from the core that nothing answers.
func TestShards_allHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		s := exchange.NewShards(c.do)
		ask(t, s, "a", "b")
		c.kill("")
		ask(t, s, "a", "b")
		time.Sleep(2 * time.Second)
		if got, _ := ask(t, s, "a", "b"); !slices.Equal(got, []string{"context", "context"}) {
			t.Errorf("got %v", got)
		}
		time.Sleep(10 * time.Second)
	})
}

// A Cluster that is far away is given more than half of the time.
func TestShards_slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := 400 * time.Millisecond
		s := exchange.NewShards(func(ctx context.Context, commands []driver.Command) []driver.Reply {
			select {
			case <-ctx.Done():
				return exchange.Fail(len(commands), ctx.Err())
			case <-time.After(pause):
				return make([]driver.Reply, len(commands))
			}
		})
		ask(t, s, "a")
		pause = 800 * time.Millisecond
		if got, took := ask(t, s, "a"); got[0] != "ok" || took != pause {
			t.Errorf("got %v after %v", got, took)
		}
	})
}

// A reply that a client left out must not look like a null.
func TestShards_replyLeftOut(t *testing.T) {
	s := exchange.NewShards(func(context.Context, []driver.Command) []driver.Reply { return nil })
	for _, r := range s.Do(t.Context(), []driver.Command{{"SET", "a", "b"}}) {
		if r.Err == nil {
			t.Error("a missing reply is a null")
		}
	}
}

// A dead shard may have thousands of names. Only a few are probed while it is
// silent, and all of them once it is back.
func TestShards_manyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		s := exchange.NewShards(c.do)
		keys := []string{"b"}
		for i := range 1000 {
			keys = append(keys, "a"+strconv.Itoa(i))
		}
		c.kill("a")
		ask(t, s, keys...)
		for range 10 {
			if got, _ := ask(t, s, keys...); got[0] != "ok" || slices.ContainsFunc(got[1:], func(text string) bool { return text != "CLUSTERDOWN" }) {
				t.Fatalf("got %v", got)
			}
			time.Sleep(50 * time.Millisecond)
			if n := c.most(); n > 32 {
				t.Fatalf("%d looks at a time", n)
			}
		}
		c.kill()
		time.Sleep(500 * time.Millisecond)
		if got, _ := ask(t, s, keys...); slices.ContainsFunc(got, func(text string) bool { return text != "ok" }) {
			t.Errorf("once it is back: %v", got)
		}
		time.Sleep(10 * time.Second)
	})
}
