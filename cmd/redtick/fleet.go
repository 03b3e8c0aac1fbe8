package main

import (
	"context"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
)

// target is where the nodes are, as the flags of all commands say.
type target struct {
	nodes  string
	prefix string
}

func (t *target) flags(c *cobra.Command) {
	// REDIS_ADDRS is not made the default: help would print it, with its passwords.
	c.PersistentFlags().StringVar(&t.nodes, "nodes", "", "the Redis nodes, separated by commas: host:port or redis:// and rediss:// URLs (default $REDIS_ADDRS)")
	c.PersistentFlags().StringVar(&t.prefix, "prefix", "", "what the services put before every name (their WithPrefix)")
}

// fleet is the nodes, reached.
type fleet struct {
	locker  *redlock.Locker
	clients []redis.UniversalClient
	nodes   []driver.Node
}

// open makes clients that give up after patience. It does not connect.
func (t *target) open(patience time.Duration, opts ...redlock.LockerOption) (*fleet, error) {
	list := t.nodes
	if list == "" {
		list = os.Getenv("REDIS_ADDRS")
	}
	addresses, err := parseAddresses(list)
	if err != nil {
		return nil, err
	}
	// What the client has to say of broken connections stands in the errors already.
	logging.Disable()
	f := &fleet{}
	for _, o := range addresses {
		f.clients = append(f.clients, redis.NewClient(impatient(o, patience)))
	}
	f.nodes = goredis.Nodes(f.clients...)
	f.locker, err = redlock.New(f.nodes, append(opts, redlock.WithPrefix(t.prefix))...)
	if err != nil {
		f.disconnect()
		return nil, err
	}
	return f, nil
}

func impatient(o *redis.Options, patience time.Duration) *redis.Options {
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = patience, patience, patience
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o
}

func (f *fleet) disconnect() {
	for _, c := range f.clients {
		_ = c.Close()
	}
}

// close sends what is still owed to the nodes first. What a silent node does
// not hear of ends there with its TTL.
func (f *fleet) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = f.locker.Close(ctx)
	f.disconnect()
}
