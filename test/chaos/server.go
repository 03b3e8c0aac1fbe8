package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const startLimit = 15 * time.Second

// server is one redis-server process, which may be killed and started again.
type server struct {
	port  int
	dir   string
	args  []string
	child *child
	admin *redis.Client // past the links
}

// startServer runs a redis-server that keeps all its data over kill -9, or loses all of
// it if not durable.
func startServer(dir string, i int, durable bool) (*server, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("redis-server is not in the PATH; chaos runs its own (apt-get install redis-server)")
	}
	data, err := os.MkdirTemp(dir, fmt.Sprintf("node%d-", i))
	if err != nil {
		return nil, err
	}
	s := &server{port: freePort(), dir: data}
	s.args = []string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", data, "--save", ""}
	if durable {
		s.args = append(s.args, "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
	}
	s.admin = redis.NewClient(&redis.Options{Addr: s.addr(), MaxRetries: -1})
	return s, s.start()
}

func (s *server) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func (s *server) start() (err error) {
	if s.child, err = startChild("", "redis-server", s.args...); err != nil {
		return err
	}
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = s.admin.Ping(context.Background()).Err(); err == nil {
			return nil
		}
		select {
		case <-s.child.done:
			return fmt.Errorf("redis-server ended: %s", s.child.out.tail())
		default:
		}
	}
	return fmt.Errorf("redis-server on %s does not answer: %w", s.addr(), err)
}

func (s *server) hang()   { s.child.signal(syscall.SIGSTOP) }
func (s *server) resume() { s.child.signal(syscall.SIGCONT) }

// freePort returns a port below those of outgoing connections, so that none takes it
// while the server is down.
func freePort() int {
	for {
		port := 15000 + rand.IntN(15000)
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			l.Close()
			return port
		}
	}
}

// keys returns all keys with their remaining lifetimes, and the tokens of locks.
func (s *server) keys(ctx context.Context) ([]foundKey, error) {
	var found []foundKey
	scan := s.admin.Scan(ctx, 0, "*", 1000).Iterator()
	for scan.Next(ctx) {
		k := foundKey{node: s.addr(), name: scan.Val()}
		var err error
		if k.left, err = s.admin.PTTL(ctx, k.name).Result(); err != nil {
			return nil, err
		}
		k.token = s.admin.Get(ctx, k.name).Val()
		found = append(found, k)
	}
	return found, scan.Err()
}

// foundKey is a key that is on a node when nobody holds anything.
type foundKey struct {
	node, name, token string
	left              time.Duration // -1 ns if it does not expire
}
