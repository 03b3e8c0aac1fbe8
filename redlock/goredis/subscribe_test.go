package goredis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

const patience = 5 * time.Second

type subscription struct {
	ready    chan struct{}
	messages chan string
	ended    chan error
}

func subscribe(ctx context.Context, node driver.Subscriber, channel string) subscription {
	s := subscription{make(chan struct{}, 9), make(chan string, 9), make(chan error, 1)}
	go func() {
		s.ended <- node.Subscribe(ctx, channel,
			func() { s.ready <- struct{}{} },
			func(message string) { s.messages <- message })
	}()
	return s
}

func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s in %v", what, patience)
		panic("unreachable")
	}
}

func exercise(t *testing.T, server *redisserver.Server, node driver.Subscriber) {
	t.Helper()
	const channel, message = "wake:{a}\x00", "m\x00\r\n"
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := subscribe(ctx, node, channel)
	receive(t, "ready", s.ready)
	// What is published from here on must arrive: that is what ready says.
	if n, err := server.Do("PUBLISH", channel, message); err != nil || n != int64(1) {
		t.Errorf("%v subscribers after ready (%v)", n, err)
	}
	if got := receive(t, "message", s.messages); got != message {
		t.Errorf("got %q, want %q", got, message)
	}
	cancel()
	if err := receive(t, "end", s.ended); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v, want the context's error", err)
	}
}

func TestNode_Subscribe(t *testing.T) {
	server := redisserver.Start(t)
	exercise(t, server, newNode(t, &redis.Options{Addr: server.Addr()}))
}

func TestNode_Subscribe_resp2(t *testing.T) {
	server := redisserver.Start(t)
	exercise(t, server, newNode(t, &redis.Options{Addr: server.Addr(), Protocol: 2}))
}

func TestNode_Subscribe_ring(t *testing.T) {
	server := redisserver.Start(t)
	client := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": server.Addr()}})
	defer client.Close()
	exercise(t, server, goredis.Nodes(client)[0].(*goredis.Node))
}

func TestNode_Subscribe_cluster(t *testing.T) {
	t.Parallel()
	server := redisserver.StartCluster(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{server.Addr()}})
	defer client.Close()
	exercise(t, server, goredis.Nodes(client)[0].(*goredis.Node))
}

func TestNode_Subscribe_serverKilled(t *testing.T) {
	server := redisserver.Start(t)
	s := subscribe(context.Background(), newNode(t, &redis.Options{Addr: server.Addr(), DialerRetries: 1}), "c")
	receive(t, "ready", s.ready)
	server.Kill()
	if err := receive(t, "end", s.ended); err == nil {
		t.Error("ended without a reason")
	}
}

// go-redis mends a broken subscription by itself, and what was published
// meanwhile is lost: the caller has to know.
func TestNode_Subscribe_connectionKilled(t *testing.T) {
	server := redisserver.Start(t)
	s := subscribe(context.Background(), newNode(t, &redis.Options{Addr: server.Addr()}), "c")
	receive(t, "ready", s.ready)
	if _, err := server.Do("CLIENT", "KILL", "TYPE", "pubsub"); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "end", s.ended); err == nil || len(s.ready) > 0 {
		t.Errorf("ended with %v, ready %d times more", err, len(s.ready))
	}
}

func TestNode_Subscribe_serverGone(t *testing.T) {
	server := redisserver.Start(t)
	server.Kill()
	s := subscribe(context.Background(), newNode(t, &redis.Options{Addr: server.Addr(), DialerRetries: 1}), "c")
	if err := receive(t, "end", s.ended); err == nil || len(s.ready) > 0 {
		t.Errorf("ended with %v, ready %d times", err, len(s.ready))
	}
}

func TestNode_Subscribe_contextEndsWhileServerHangs(t *testing.T) {
	server := redisserver.Start(t)
	node := newNode(t, &redis.Options{Addr: server.Addr()})
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	s := subscribe(ctx, node, "c")
	receive(t, "ready", s.ready)
	server.Pause()
	defer server.Resume()
	if err := receive(t, "end", s.ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
}
