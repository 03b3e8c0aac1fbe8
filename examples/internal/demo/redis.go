package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

const (
	addrsEnv      = "REDIS_ADDRS"
	embeddedNodes = 3
	pingLimit     = 2 * time.Second
	// A key may expire up to two steps early, which the drift of a TTL above 800 ms covers.
	clockStep = 5 * time.Millisecond
)

// Redis holds the independent nodes that a demo runs on.
type Redis struct {
	// Addrs are the nodes' addresses, host:port.
	Addrs []string
	// Embedded reports whether the nodes live in this process.
	Embedded bool

	servers []*miniredis.Miniredis
	stop    chan struct{}
}

// OpenRedis returns the independent nodes listed in REDIS_ADDRS (host:port,host:port,…),
// of which a majority must answer within 2 s. Without REDIS_ADDRS it starts three
// embedded nodes.
func OpenRedis(ctx context.Context) (*Redis, error) {
	if list := os.Getenv(addrsEnv); list != "" {
		return dial(ctx, list)
	}
	r := &Redis{Embedded: true, stop: make(chan struct{})}
	for range embeddedNodes {
		server := miniredis.NewMiniRedis()
		if err := server.Start(); err != nil {
			r.Close()
			return nil, fmt.Errorf("the embedded Redis cannot listen on a port of 127.0.0.1: %w", err)
		}
		r.servers = append(r.servers, server)
		r.Addrs = append(r.Addrs, server.Addr())
	}
	go r.driveClock()
	return r, nil
}

// String describes the nodes.
func (r *Redis) String() string {
	if r.Embedded {
		return fmt.Sprintf("%d embedded Redis nodes", len(r.Addrs))
	}
	return "Redis at " + strings.Join(r.Addrs, ", ")
}

// Close stops the embedded nodes. Real ones are left alone.
func (r *Redis) Close() {
	if r.stop != nil {
		close(r.stop)
	}
	for _, s := range r.servers {
		s.Close()
	}
}

// driveClock makes keys expire: miniredis has no clock of its own. It does not
// catch up on dropped steps: a slow clock is safe, but a leap could end a lease before
// its holder knows.
func (r *Redis) driveClock() {
	ticker := time.NewTicker(clockStep)
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
			for _, s := range r.servers {
				s.FastForward(clockStep)
			}
		}
	}
}

func dial(ctx context.Context, list string) (*Redis, error) {
	logging.Disable() // go-redis returns what it logs about a dead node as an error too
	r := &Redis{}
	for addr := range strings.SplitSeq(list, ",") {
		addr = strings.TrimSpace(addr)
		if addr == "" {
			return nil, fmt.Errorf("%s is %q, which has an empty address; write host:port,host:port,…", addrsEnv, list)
		}
		r.Addrs = append(r.Addrs, addr)
	}
	if silent, err := r.ping(ctx); silent > (len(r.Addrs)-1)/2 {
		return nil, fmt.Errorf("no answer from %d of %d nodes in %s, so there is no majority; start them, or unset %s for the embedded ones: %w",
			silent, len(r.Addrs), addrsEnv, addrsEnv, err)
	}
	return r, nil
}

func (r *Redis) ping(ctx context.Context) (silent int, err error) {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	return r.each(func(client *redis.Client) error { return client.Ping(ctx).Err() })
}

// sweep deletes every key whose name contains part, so that a demo leaves nothing behind
// on real nodes.
func (r *Redis) sweep(ctx context.Context, part string) error {
	_, err := r.each(func(client *redis.Client) error {
		keys := client.Scan(ctx, 0, "*"+part+"*", 1000).Iterator()
		for keys.Next(ctx) {
			if err := client.Del(ctx, keys.Val()).Err(); err != nil {
				return err
			}
		}
		return keys.Err()
	})
	return err
}

// each calls f for each node. It returns the number of failed nodes and their errors.
func (r *Redis) each(f func(*redis.Client) error) (failed int, err error) {
	for _, addr := range r.Addrs {
		client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, MaxRetries: -1})
		if e := f(client); e != nil {
			failed++
			err = errors.Join(err, fmt.Errorf("%s: %w", addr, e))
		}
		_ = client.Close()
	}
	return failed, err
}
