package main

import (
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
)

// connect returns a client with the timeout patience. It does not connect yet.
func (a *address) connect(patience time.Duration) redis.UniversalClient {
	o, quiet := a.server, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if a.kind != oneServer {
		return redis.NewUniversalClient(&redis.UniversalOptions{
			Addrs: a.hosts, IsClusterMode: a.kind == wholeCluster,
			MasterName: a.master, SentinelUsername: a.sentinelUser, SentinelPassword: a.sentinelPassword,
			Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig, Protocol: o.Protocol,
			DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience,
			ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1, MaintNotificationsConfig: quiet,
		})
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = patience, patience, patience
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.MaintNotificationsConfig = quiet
	return redis.NewClient(o)
}

// sentinelNode is a node of a Sentinel group, named after its Sentinels and master.
type sentinelNode struct {
	*goredis.Node
	name string
}

// String returns the Sentinels' addresses and the master's name.
func (n *sentinelNode) String() string { return n.name }

func (a *address) node(client redis.UniversalClient) (driver.Node, error) {
	node, err := goredis.NewNode(client)
	if err == nil && a.kind == sentinelGroup {
		return &sentinelNode{node, strings.Join(a.hosts, ",") + "/" + a.master}, nil
	}
	return node, err
}
