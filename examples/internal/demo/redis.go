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
	// A key may die up to two steps early, which the drift of any TTL above 800 ms covers.
	clockStep = 5 * time.Millisecond
)

// Redis is the independent nodes a show runs on.
type Redis struct {
	// Addrs are the nodes' addresses, host:port.
	Addrs []string
	// Embedded: the nodes live in this process and end with it.
	Embedded bool

	servers []*miniredis.Miniredis
	stop    chan struct{}
}

// OpenRedis returns the nodes listed in REDIS_ADDRS (host:port,host:port,…,
// each an independent one), of which a majority must answer within 2 s, or
// else starts three embedded ones.
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

// String says what the nodes are.
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

// driveClock makes keys expire: miniredis stands still in time unless told.
// Dropped steps are not repeated. A clock that is slow is safe, a
// leap could end a lease before its holder knows.
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
	logging.Disable() // what go-redis would say of a dead node comes as an error too
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

// sweep deletes every key whose name contains part, so that a show leaves
// nothing behind on real nodes.
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

// each runs f on all nodes, counts those that failed, and joins their errors.
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
