package rueidis_test

import (
	"testing"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/drivertest"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

func TestNode_Subscribe(t *testing.T) {
	drivertest.TestSubscriber(t, func(t testing.TB, addr string) driver.Node {
		return newNode(t, rueidis.ClientOption{InitAddress: []string{addr}})
	})
}

func TestNode_Subscribe_cluster(t *testing.T) {
	t.Parallel()
	server := redisserver.StartCluster(t)
	drivertest.Exercise(t, server, newNode(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}}))
}
