package main

import (
	"context"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
)

// target holds the flags of all commands that say where the nodes are.
type target struct {
	nodes  string
	prefix string
	tls    secrets
}

func (t *target) flags(c *cobra.Command) {
	// REDIS_ADDRS must not be the flag's default: help would print its passwords.
	c.PersistentFlags().StringVar(&t.nodes, "nodes", "", "the Redis nodes, separated by commas: host:port, or URLs as \"redtick --help\" lists them (default $REDIS_ADDRS)")
	c.PersistentFlags().StringVar(&t.prefix, "prefix", "", "the prefix that the services put before every name (their WithPrefix)")
	c.PersistentFlags().StringVar(&t.tls.ca, "tls-ca", "", "a file with the certificates of the CA, in PEM, for nodes with rediss:// (default the system's)")
	c.PersistentFlags().StringVar(&t.tls.cert, "tls-cert", "", "a file with this client's certificate, in PEM")
	c.PersistentFlags().StringVar(&t.tls.key, "tls-key", "", "a file with its key, in PEM")
}

// fleet holds the clients and nodes of a target.
type fleet struct {
	locker    *redlock.Locker
	addresses []*address
	clients   []redis.UniversalClient
	nodes     []driver.Node
}

// open returns a fleet whose clients have the timeout patience. It does not connect.
func (t *target) open(patience time.Duration, opts ...redlock.LockerOption) (*fleet, error) {
	list := t.nodes
	if list == "" {
		list = os.Getenv("REDIS_ADDRS")
	}
	addresses, err := parseAddresses(list)
	if err == nil {
		err = t.tls.apply(addresses)
	}
	if err != nil {
		return nil, err
	}
	// The client would log broken connections, which the errors report already.
	logging.Disable()
	f := &fleet{addresses: addresses}
	for _, a := range addresses {
		client := a.connect(patience)
		f.clients = append(f.clients, client)
		node, err := a.node(client)
		if err != nil {
			f.disconnect()
			return nil, err
		}
		f.nodes = append(f.nodes, node)
	}
	f.locker, err = redlock.New(f.nodes, append(opts, redlock.WithPrefix(t.prefix))...)
	if err != nil {
		f.disconnect()
		return nil, err
	}
	return f, nil
}

func (f *fleet) disconnect() {
	for _, c := range f.clients {
		_ = c.Close()
	}
}

// close first sends pending releases, for up to a second. On a silent node the locks
// expire with their TTL.
func (f *fleet) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = f.locker.Close(ctx)
	f.disconnect()
}
