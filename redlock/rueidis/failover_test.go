package rueidis_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/drivertest"
)

func TestNode_failover(t *testing.T) {
	for name, apart := range map[string]bool{"default": false, "DisableAutoPipelining": true} { // with pools of its own
		t.Run(name, func(t *testing.T) {
			drivertest.TestFailover(t, func(t testing.TB, addr string) driver.Node {
				return newNode(t, rueidis.ClientOption{InitAddress: []string{addr}, DisableAutoPipelining: apart})
			})
		})
	}
}

func TestNode_cluster(t *testing.T) {
	drivertest.TestCluster(t, newCluster)
}

func TestNode_slowClient(t *testing.T) {
	drivertest.TestSlowClient(t, func(t testing.TB, addr string, wait func()) driver.Node {
		return newNode(t, rueidis.ClientOption{
			InitAddress: []string{addr},
			AuthCredentialsFn: func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
				wait()
				return rueidis.AuthCredentials{}, nil
			},
		})
	})
}

func TestNode_ownErrors(t *testing.T) {
	for name, set := range map[string]func(o *rueidis.ClientOption, fail func() error){
		"AuthCredentialsFn": func(o *rueidis.ClientOption, fail func() error) {
			o.AuthCredentialsFn = func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
				return rueidis.AuthCredentials{}, fail()
			}
		},
		"connection": func(o *rueidis.ClientOption, fail func() error) {
			o.DialCtxFn = func(ctx context.Context, addr string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, "tcp", addr)
				return drivertest.Conn(conn, fail), err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.TestOwnErrors(t, func(t testing.TB, addr string, fail func() error) driver.Node {
				options := rueidis.ClientOption{InitAddress: []string{addr}}
				set(&options, fail)
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
	return newNode(t, rueidis.ClientOption{InitAddress: addrs})
}

func TestNode_cutReply(t *testing.T) {
	drivertest.TestCutReply(t, func(t testing.TB, addr string) driver.Node {
		return newNode(t, rueidis.ClientOption{InitAddress: []string{addr}})
	})
}
