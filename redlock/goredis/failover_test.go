package goredis_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/internal/drivertest"
)

// wrapper is a client of somebody else's, such as one that counts.
type wrapper struct{ *redis.Client }

func TestNode_failover(t *testing.T) {
	for name, newClient := range map[string]func(addr string) redis.UniversalClient{
		"Client": func(addr string) redis.UniversalClient { return redis.NewClient(&redis.Options{Addr: addr}) },
		"Ring": func(addr string) redis.UniversalClient {
			return redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": addr}})
		},
		"Wrapper": func(addr string) redis.UniversalClient {
			return hidden{UniversalClient: redis.NewClient(&redis.Options{Addr: addr})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.TestFailover(t, func(t testing.TB, addr string) driver.Node {
				client := newClient(addr)
				t.Cleanup(func() { _ = client.Close() })
				return goredis.Nodes(client)[0]
			})
		})
	}
}

func TestNode_cluster(t *testing.T) {
	drivertest.TestCluster(t, newCluster)
}

func TestNode_slowClient(t *testing.T) {
	for name, set := range map[string]func(o *redis.Options, wait func()){
		"OnConnect": func(o *redis.Options, wait func()) {
			o.OnConnect = func(context.Context, *redis.Conn) error { wait(); return nil }
		},
		"CredentialsProvider": func(o *redis.Options, wait func()) {
			o.CredentialsProvider = func() (string, string) { wait(); return "", "" }
		},
		"SSH": func(o *redis.Options, wait func()) { overSSH(o, wait) },
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.TestSlowClient(t, func(t testing.TB, addr string, wait func()) driver.Node {
				options := &redis.Options{Addr: addr}
				set(options, wait)
				return newNode(t, options)
			})
		})
	}
}

// overSSH sets a client's options as go-redis' guide says. wait is called after each read.
func overSSH(o *redis.Options, wait func()) *redis.Options {
	o.ReadTimeout, o.WriteTimeout = -2, -2
	o.Dialer = func(_ context.Context, network, addr string) (net.Conn, error) {
		conn, err := net.Dial(network, addr)
		return channel{conn, wait}, err
	}
	return o
}

// channel is a connection through SSH.
type channel struct {
	net.Conn
	wait func()
}

func (c channel) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wait()
	return n, err
}

var errNoDeadline = errors.New("ssh: tcpChan: deadline not supported")

func (channel) SetDeadline(time.Time) error      { return errNoDeadline }
func (channel) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (channel) SetWriteDeadline(time.Time) error { return errNoDeadline }

func TestNode_ownErrors(t *testing.T) {
	for name, set := range map[string]func(o *redis.Options, fail func() error){
		"OnConnect": func(o *redis.Options, fail func() error) {
			o.OnConnect = func(context.Context, *redis.Conn) error { return fail() }
		},
		"Dialer": func(o *redis.Options, fail func() error) {
			o.Dialer = func(_ context.Context, network, addr string) (net.Conn, error) {
				if err := fail(); err != nil {
					return nil, err
				}
				return net.Dial(network, addr)
			}
		},
		"connection": func(o *redis.Options, fail func() error) {
			o.Dialer = func(_ context.Context, network, addr string) (net.Conn, error) {
				conn, err := net.Dial(network, addr)
				return drivertest.Conn(conn, fail), err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.TestOwnErrors(t, func(t testing.TB, addr string, fail func() error) driver.Node {
				options := &redis.Options{Addr: addr, DialerRetries: 1}
				set(options, fail)
				return newNode(t, options)
			})
		})
	}
}

func TestNode_lonelyShard(t *testing.T) {
	drivertest.TestLonelyShard(t, newCluster)
}

func TestNode_manyNames(t *testing.T) {
	drivertest.TestManyNames(t, newCluster)
}

func TestNode_silentCluster(t *testing.T) {
	drivertest.TestSilentCluster(t, newCluster)
}

func TestNode_listing(t *testing.T) {
	drivertest.TestListing(t, newCluster)
}

func newCluster(t testing.TB, addrs []string) driver.Node {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	t.Cleanup(func() { _ = client.Close() })
	node, err := goredis.NewNode(client)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func TestNode_cutReply(t *testing.T) {
	for name, connect := range map[string]func(addr string) redis.UniversalClient{
		"client": func(addr string) redis.UniversalClient { return redis.NewClient(&redis.Options{Addr: addr}) },
		"RESP2": func(addr string) redis.UniversalClient {
			return redis.NewClient(&redis.Options{Addr: addr, Protocol: 2})
		},
		"wrapper": func(addr string) redis.UniversalClient {
			return hidden{UniversalClient: redis.NewClient(&redis.Options{Addr: addr})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.TestCutReply(t, func(t testing.TB, addr string) driver.Node {
				client := connect(addr)
				t.Cleanup(func() { _ = client.Close() })
				return goredis.Nodes(client)[0]
			})
		})
	}
}
