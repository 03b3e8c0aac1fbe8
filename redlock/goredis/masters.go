package goredis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
)

// Masters returns a node for each master of a Cluster or each server of a Ring,
// and none for one server or a Sentinel group. The nodes share the client's
// connections. A server that hangs delays it by 250 ms, after which another one is
// asked as well. It fails if ctx ends before the layout is known, or if a server
// of a Ring is down.
func (n *Node) Masters(ctx context.Context) ([]driver.Node, error) {
	var clients []*redis.Client
	err := n.whole()
	switch {
	case n.cluster != nil:
		clients, err = clusterMasters(ctx, n.cluster)
	case n.ring != nil && err == nil:
		clients, err = collect(ctx, n.ring.ForEachShard)
	}
	if err != nil {
		return nil, err
	}
	nodes := make([]driver.Node, len(clients))
	for i, client := range clients {
		if nodes[i], err = NewNode(client); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// each is ForEachMaster or ForEachShard.
type each func(ctx context.Context, visit func(context.Context, *redis.Client) error) error

func collect(ctx context.Context, visitAll each) ([]*redis.Client, error) {
	var mu sync.Mutex
	var clients []*redis.Client
	err := visitAll(ctx, func(_ context.Context, client *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		clients = append(clients, client)
		return nil
	})
	return clients, err
}

// clusterMasters asks a random server for the layout, as layout.reloadOnce does.
func clusterMasters(ctx context.Context, c cluster) ([]*redis.Client, error) {
	type answer struct {
		clients []*redis.Client
		err     error
	}
	answers := make(chan answer, reloadLimit)
	again := time.NewTicker(reloadEvery)
	defer again.Stop()
	for asked := 0; ; {
		if asked < reloadLimit {
			asked++
			go func() {
				clients, err := collect(ctx, c.ForEachMaster)
				answers <- answer{clients, err}
			}()
		}
		select {
		case a := <-answers:
			return a.clients, a.err
		case <-ctx.Done():
			return nil, fmt.Errorf("goredis: no server returned the Cluster's layout in time: %w", ctx.Err())
		case <-again.C:
		}
	}
}

// whole returns an error while servers of a Ring are down. go-redis moves their
// keys to other servers, where a held lock would appear free and be missing from
// a list.
func (n *Node) whole() error {
	if n.ring == nil {
		return nil
	}
	if live, want := n.ring.Len(), len(n.ring.Options().Addrs); live < want {
		return fmt.Errorf("goredis: %d of the Ring's %d servers are up; all names are refused until the others are back", live, want)
	}
	return nil
}
