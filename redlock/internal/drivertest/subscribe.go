//go:build unix

package drivertest

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

const patience = 5 * time.Second

// TestSubscriber checks how a subscription ends when its server does.
func TestSubscriber(t *testing.T, connect func(t testing.TB, addr string) driver.Node) {
	for name, check := range map[string]func(t *testing.T, server *redisserver.Server, node driver.Subscriber){
		"ServerKilled":                checkServerKilled,
		"ServerGone":                  checkServerGone,
		"Forbidden":                   checkForbidden,
		"ContextEndsWhileServerHangs": checkServerHangs,
		"ServerVanishes":              checkServerVanishes,
		"NothingHappens":              checkNothingHappens,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redisserver.Start(t)
			check(t, server, connect(t, server.Addr()).(driver.Subscriber))
		})
	}
	t.Run("MovedEndpoint", func(t *testing.T) {
		t.Parallel()
		checkMovedSubscription(t, connect)
	})
}

// checkMovedSubscription demotes a primary without closing its connections, and moves its name later. A subscription must not stay
// with the old server, where the new one does not count it.
func checkMovedSubscription(t *testing.T, connect func(t testing.TB, addr string) driver.Node) {
	old := redisserver.Start(t)
	promoted := redisserver.Start(t)
	endpoint := redisserver.Forward(t, old.Addr())
	node := connect(t, endpoint.Addr())
	s := subscribe(t.Context(), node.(driver.Subscriber))
	receive(t, "ready", s.ready)
	command(t, old, "REPLICAOF", "127.0.0.1", strconv.Itoa(promoted.Port()))
	if err := firstError(send(t, node, batches["a write"])); err == nil { // the name has not moved yet
		t.Fatal("a replica accepted a write")
	}
	if err := receive(t, "end", s.ended); err == nil {
		t.Error("ended without a reason")
	}
	s = subscribe(t.Context(), node.(driver.Subscriber))
	receive(t, "ready", s.ready)
	send(t, node, batches["a write"])
	endpoint.Move(promoted.Addr())
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		send(t, node, batches["a write"])
		select {
		case err := <-s.ended:
			if err == nil {
				t.Error("ended without a reason")
			}
			return
		default:
		}
		if time.Since(begin) > 15*time.Second {
			t.Fatal("a subscription stayed with the old server")
		}
	}
}

func checkServerKilled(t *testing.T, server *redisserver.Server, node driver.Subscriber) {
	s := subscribe(context.Background(), node)
	receive(t, "ready", s.ready)
	server.Kill()
	if err := receive(t, "end", s.ended); err == nil {
		t.Error("ended without a reason")
	}
}

func checkServerGone(t *testing.T, server *redisserver.Server, node driver.Subscriber) {
	server.Kill()
	s := subscribe(context.Background(), node)
	if err := receive(t, "end", s.ended); err == nil || len(s.ready) > 0 {
		t.Errorf("ended with %v, ready %d times", err, len(s.ready))
	}
}

// checkForbidden checks that a refusal is not taken for a subscription, and is the server's own.
func checkForbidden(t *testing.T, server *redisserver.Server, node driver.Subscriber) {
	if _, err := server.Do("ACL", "SETUSER", "default", "resetchannels"); err != nil {
		t.Fatal(err)
	}
	s := subscribe(context.Background(), node)
	if err := receive(t, "end", s.ended); driver.ErrorCode(err) != "NOPERM" || len(s.ready) > 0 {
		t.Errorf("ended with %v, ready %d times", err, len(s.ready))
	}
}

func checkServerHangs(t *testing.T, server *redisserver.Server, node driver.Subscriber) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	s := subscribe(ctx, node)
	receive(t, "ready", s.ready)
	server.Pause()
	defer server.Resume()
	if err := receive(t, "end", s.ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
}

// checkServerVanishes makes the host vanish without closing connections.
func checkServerVanishes(t *testing.T, server *redisserver.Server, node driver.Subscriber) {
	s := subscribe(context.Background(), node)
	receive(t, "ready", s.ready)
	server.Pause()
	defer server.Resume()
	select {
	case err := <-s.ended:
		if err == nil {
			t.Error("ended without a reason")
		}
	case <-time.After(30 * time.Second):
		t.Error("it was not noticed in 30s")
	}
}

// checkNothingHappens sends no message for longer than a driver needs to detect that a server has vanished.
func checkNothingHappens(t *testing.T, server *redisserver.Server, node driver.Subscriber) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := subscribe(ctx, node)
	receive(t, "ready", s.ready)
	time.Sleep(10 * time.Second)
	command(t, server, "PUBLISH", channel, "late")
	if got := receive(t, "message", s.messages); got != "late" {
		t.Errorf("got %q", got)
	}
}

const channel = "wake:{a}\x00"

// Exercise subscribes, and publishes through server.
func Exercise(t *testing.T, server *redisserver.Server, node driver.Subscriber) {
	t.Helper()
	const message = "m\x00\r\n"
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := subscribe(ctx, node)
	receive(t, "ready", s.ready)
	// ready promises that messages published from now on arrive.
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

type subscription struct {
	ready    chan struct{}
	messages chan string
	ended    chan error
}

func subscribe(ctx context.Context, node driver.Subscriber) subscription {
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
