package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	addresses, err := parseAddresses(cmp.Or(t.nodes, os.Getenv("REDIS_ADDRS")))
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

// secrets holds the files of --tls-ca, --tls-cert and --tls-key.
type secrets struct{ ca, cert, key string }

// apply makes all nodes with TLS use the files.
func (s *secrets) apply(nodes []*address) error {
	if *s == (secrets{}) {
		return nil
	}
	roots, badRoots := s.roots()
	own, badOwn := s.own()
	if err := cmp.Or(badRoots, badOwn); err != nil {
		return err
	}
	used := false
	for _, n := range nodes {
		if config := n.server.TLSConfig; config != nil {
			used = true
			config.RootCAs, config.Certificates = roots, own
		}
	}
	if !used {
		return usage("--tls-ca, --tls-cert and --tls-key are for nodes that speak TLS, and none does; write rediss:// (rediss-sentinel://, rediss-cluster://)")
	}
	return nil
}

// roots returns the CAs of --tls-ca, or nil for the system's.
func (s *secrets) roots() (*x509.CertPool, error) {
	if s.ca == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.ca)
	if err != nil {
		return nil, usage("--tls-ca %q cannot be read: %v; give a file with the CA's certificates in PEM", s.ca, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, usage("--tls-ca %q holds no certificate; it must hold those of the CA in PEM (BEGIN CERTIFICATE)", s.ca)
	}
	return roots, nil
}

func (s *secrets) own() ([]tls.Certificate, error) {
	if s.cert == "" && s.key == "" {
		return nil, nil
	}
	if s.cert == "" || s.key == "" {
		return nil, usage("--tls-cert is %q and --tls-key is %q, must be given together: a client certificate and its key, in PEM", s.cert, s.key)
	}
	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		return nil, usage("--tls-cert %q with --tls-key %q: %v; give a client certificate and its own key, in PEM", s.cert, s.key, err)
	}
	return []tls.Certificate{pair}, nil
}
