package rueidis_test

import (
	"testing"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/drivertest"
)

func TestNode_failover(t *testing.T) {
	drivertest.TestFailover(t, func(t testing.TB, addr string) driver.Node {
		return newNode(t, rueidis.ClientOption{InitAddress: []string{addr}})
	})
}

func TestNode_cluster(t *testing.T) {
	drivertest.TestCluster(t, func(t testing.TB, addrs []string) driver.Node {
		return newNode(t, rueidis.ClientOption{InitAddress: addrs})
	})
}

func TestNode_silentCluster(t *testing.T) {
	drivertest.TestSilentCluster(t, func(t testing.TB, addrs []string) driver.Node {
		return newNode(t, rueidis.ClientOption{InitAddress: addrs})
	})
}
