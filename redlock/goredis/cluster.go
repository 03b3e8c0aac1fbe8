package goredis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// cluster identifies a Cluster client, including one embedded in a wrapper.
type cluster interface {
	MasterForKey(ctx context.Context, key string) (*redis.Client, error)
	ForEachMaster(ctx context.Context, visit func(context.Context, *redis.Client) error) error
}

// ring identifies a Ring, including one embedded in a wrapper.
type ring interface {
	GetShardClientForKey(key string) (*redis.Client, error)
	ForEachShard(ctx context.Context, visit func(context.Context, *redis.Client) error) error
	Len() int
	Options() *redis.RingOptions
}

// forEach is ForEachMaster or ForEachShard.
type forEach func(ctx context.Context, visit func(context.Context, *redis.Client) error) error

// split makes Do send each command to the server that owner returns for its key.
func (n *Node) split(owner func(ctx context.Context, key string) (*redis.Client, error), forEach forEach) {
	n.forEach, n.servers = forEach, map[*redis.Client]*Node{}
	n.shards = exchange.NewShards(exchange.Cluster{
		Owner: func(ctx context.Context, key string) (driver.Node, error) {
			client, err := owner(ctx, key)
			if err != nil {
				return nil, own(err)
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.servers[client] == nil {
				n.servers[client], err = NewNode(client)
			}
			return n.servers[client], err
		},
		Redirect: n.doWatched,
		Reload: func(ctx context.Context) error {
			// go-redis reloads the layout every minute and after a redirect, but not when a
			// server fails.
			clients, err := n.clients(ctx)
			if err != nil {
				return err
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			maps.DeleteFunc(n.servers, func(c *redis.Client, _ *Node) bool { return !slices.Contains(clients, c) })
			return nil
		},
	})
}

// ringServer fails while servers of a Ring are down. go-redis moves their keys to other
// servers, where a held lock would appear free and be missing from a list.
func (n *Node) ringServer(_ context.Context, key string) (*redis.Client, error) {
	client, err := n.ring.GetShardClientForKey(key)
	if live, want := n.ring.Len(), len(n.ring.Options().Addrs); live < want {
		return nil, fmt.Errorf("goredis: %d of the Ring's %d servers are up; all names are refused until the others are back", live, want)
	}
	return client, err
}

// clients returns the servers of a Cluster or a Ring. A Cluster client asks a random
// server for the layout first. It reloads it in no other way that is not limited to one
// call at a time: if that server hangs, so does the call for the client's ReadTimeout.
func (n *Node) clients(ctx context.Context) (clients []*redis.Client, err error) {
	var mu sync.Mutex
	err = n.forEach(ctx, func(_ context.Context, client *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		clients = append(clients, client)
		return nil
	})
	return clients, err
}

// Masters returns a node for each master of a Cluster or each server of a Ring,
// and none for one server or a Sentinel group. The nodes share the client's
// connections. A server that hangs delays it by 250 ms, after which another one is
// asked as well. It fails if none returns the layout within two seconds, or if a
// server of a Ring is down.
func (n *Node) Masters(ctx context.Context) ([]driver.Node, error) {
	if n.shards == nil {
		return nil, nil
	}
	if n.ring != nil {
		if _, err := n.ringServer(ctx, ""); err != nil {
			return nil, err
		}
	}
	clients, err := exchange.Hedge(ctx, func() ([]*redis.Client, error) { return n.clients(ctx) })
	if err != nil {
		return nil, fmt.Errorf("goredis: no server returned the Cluster's layout: %w", err)
	}
	return exchange.Nodes(clients, func(c *redis.Client) (*Node, error) { return NewNode(c) }), nil
}
