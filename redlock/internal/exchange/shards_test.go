package exchange_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// cluster answers at once, but for dead shards, which hang until the context ends, as a
// client does. The first letter of a key's hash tag names its shard.
type cluster struct {
	mu     sync.Mutex
	shards map[string]*shard
	dead   []string
	paused []string // shards that let writes wait, as in a failover by hand
	moved  []string // shards that redirect
	sent   []string // keys
	loads  int
}

type shard struct {
	*cluster
	name string
}

func (c *cluster) owner(_ context.Context, key string) (driver.Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := strings.Trim(key, "{")[:1]
	if c.shards[name] == nil {
		c.shards[name] = &shard{c, name}
	}
	return c.shards[name], nil
}

func (c *cluster) redirect(_ context.Context, commands []driver.Command) []driver.Reply {
	replies := make([]driver.Reply, len(commands))
	for i, command := range commands {
		replies[i].Value = "redirected " + exchange.Key(command)
	}
	return replies
}

func (c *cluster) reload(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loads++
	return nil
}

func (s *shard) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	s.mu.Lock()
	hangs, moved := slices.Contains(s.dead, s.name), slices.Contains(s.moved, s.name)
	hangs = hangs || slices.Contains(s.paused, s.name) && commands[0][0] != "PING"
	for _, command := range commands {
		if command[0] == "SET" {
			s.sent = append(s.sent, exchange.Key(command))
		}
	}
	s.mu.Unlock()
	switch {
	case hangs:
		<-ctx.Done()
		return exchange.Fail(len(commands), ctx.Err())
	case moved:
		return exchange.Fail(len(commands), errors.New("MOVED 1 127.0.0.1:1"))
	}
	return make([]driver.Reply, len(commands))
}

// newCluster returns a cluster, and a Shards for it.
func newCluster() (*cluster, *exchange.Shards) {
	c := &cluster{shards: map[string]*shard{}}
	return c, exchange.NewShards(exchange.Cluster{Owner: c.owner, Redirect: c.redirect, Reload: c.reload})
}

func (c *cluster) kill(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = names
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
		switch {
		case r.Err != nil:
			text, _, _ = strings.Cut(r.Err.Error(), " ")
		case r.Value != nil:
			text = r.Value.(string)
		}
		got = append(got, text)
	}
	return got, time.Since(start)
}

func TestShards_oneHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCluster()
		c.kill("a")
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

// A server that lets writes wait answers PING nevertheless.
func TestShards_writesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCluster()
		c.paused = []string{"a"}
		ask(t, s, "a", "b")
		for range 5 {
			if got, took := ask(t, s, "a", "b"); !slices.Equal(got, []string{"CLUSTERDOWN", "ok"}) || took > 100*time.Millisecond {
				t.Errorf("%v after %v", got, took)
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
	})
}

// A first probe may take longer than a caller has.
func TestShards_shortDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCluster()
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
		c, s := newCluster()
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
		c, s := newCluster()
		ask(t, s, "a", "b")
		c.kill("a", "b")
		ask(t, s, "a", "b")
		time.Sleep(2 * time.Second)
		if got, _ := ask(t, s, "a", "b"); !slices.Equal(got, []string{"context", "context"}) {
			t.Errorf("got %v", got)
		}
		time.Sleep(10 * time.Second)
	})
}

// node is a driver.Node without a cluster.
type node struct {
	do func(ctx context.Context, commands []driver.Command) []driver.Reply
}

func (n *node) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	return n.do(ctx, commands)
}

func ownedBy(n *node) *exchange.Shards {
	return exchange.NewShards(exchange.Cluster{
		Owner:  func(context.Context, string) (driver.Node, error) { return n, nil },
		Reload: func(context.Context) error { return nil },
	})
}

// A Cluster that is far away is given more than half of the time.
func TestShards_slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := 400 * time.Millisecond
		s := ownedBy(&node{func(ctx context.Context, commands []driver.Command) []driver.Reply {
			select {
			case <-ctx.Done():
				return exchange.Fail(len(commands), ctx.Err())
			case <-time.After(pause):
				return make([]driver.Reply, len(commands))
			}
		}})
		ask(t, s, "a")
		pause = 800 * time.Millisecond
		if got, took := ask(t, s, "a"); got[0] != "ok" || took != pause {
			t.Errorf("got %v after %v", got, took)
		}
	})
}

// A reply that a client left out must not look like a null.
func TestShards_replyLeftOut(t *testing.T) {
	s := ownedBy(&node{func(context.Context, []driver.Command) []driver.Reply { return nil }})
	for _, r := range s.Do(t.Context(), []driver.Command{{"SET", "a", "b"}}) {
		if r.Err == nil {
			t.Error("a missing reply is a null")
		}
	}
}

// A server's own earlier answer does not prove that others answer.
func TestShards_alone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCluster()
		ask(t, s, "a")
		c.kill("a")
		for range 2 {
			if got, _ := ask(t, s, "a"); got[0] != "context" {
				t.Errorf("got %v", got)
			}
		}
		time.Sleep(10 * time.Second)
	})
}

// Commands that their owner redirects are sent again through the client, in order, and
// the layout is reloaded.
func TestShards_redirected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCluster()
		c.moved = []string{"a"}
		got, _ := ask(t, s, "a1", "b", "a2")
		if !slices.Equal(got, []string{"redirected a1", "ok", "redirected a2"}) {
			t.Errorf("got %v", got)
		}
		synctest.Wait()
		if c.loads != 1 {
			t.Errorf("reloaded %d times", c.loads)
		}
	})
}

// A client may need any time to load its layout.
func TestShards_ownerUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exchange.NewShards(exchange.Cluster{Owner: func(context.Context, string) (driver.Node, error) {
			time.Sleep(time.Minute)
			return nil, errors.New("unknown")
		}})
		if got, took := ask(t, s, "a", "b"); !slices.Equal(got, []string{"context", "context"}) || took > 600*time.Millisecond {
			t.Errorf("got %v after %v", got, took)
		}
		time.Sleep(2 * time.Minute)
		if r := s.Do(context.Background(), []driver.Command{{"SET", "a", "v"}})[0]; r.Err == nil || r.Err.Error() != "unknown" {
			t.Errorf("got %v, %v", r.Value, r.Err)
		}
	})
}

// One server hangs, and another one fails.
func TestHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		start := time.Now()
		got, err := exchange.Hedge(t.Context(), func() (int64, error) {
			call := calls.Add(1)
			switch call {
			case 1:
				time.Sleep(time.Minute)
			case 2:
				return call, errors.New("refused")
			}
			return call, nil
		})
		if took := time.Since(start); got != 3 || err != nil || took != 250*time.Millisecond {
			t.Errorf("%d, %v after %v", got, err, took)
		}
		_, err = exchange.Hedge(t.Context(), func() (int, error) { return 0, errors.New("refused") })
		if err == nil || err.Error() != "refused" {
			t.Errorf("all refuse: %v", err)
		}
		time.Sleep(time.Minute)
	})
}
