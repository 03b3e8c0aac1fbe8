package goredis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
)

// Masters returns a node for each master of a Cluster, and for each server of a
// Ring, on the client's connections; for one server or a Sentinel group, none. A
// server that hangs delays it by a quarter of a second: another is asked beside
// it. It is an error when the layout cannot be had by the end of ctx, or a Ring
// has left a server out.
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

// clusterMasters asks a random server for the layout, as layout.look does.
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
			return nil, fmt.Errorf("goredis: no server told the Cluster's layout in time: %w", ctx.Err())
		case <-again.C:
		}
	}
}

// whole fails while servers of a Ring are down. go-redis puts their keys on others,
// where what is locked would be free, and missing in a list.
func (n *Node) whole() error {
	if n.ring == nil {
		return nil
	}
	if live, want := n.ring.Len(), len(n.ring.Options().Addrs); live < want {
		return fmt.Errorf("goredis: %d of the Ring's %d servers are in use; none of its names can be had until the others are back", live, want)
	}
	return nil
}
